package main

import (
	"sync"

	"github.com/vmware/govmomi/vim25/types"
)

// secretKey is the extraConfig key that the guest reads but the API never shows.
const secretKey = "guestinfo.ovfEnv"

// Secrets keeps guestinfo.ovfEnv of every machine outside of what the API can
// read, as a vCenter hides it.
type Secrets struct {
	mu   sync.Mutex
	byVM map[moref]string
}

func newSecrets() *Secrets { return &Secrets{byVM: map[moref]string{}} }

func (s *Secrets) put(vm moref, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key == "" {
		delete(s.byVM, vm)
		return
	}
	s.byVM[vm] = key
}

func (s *Secrets) get(vm moref) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byVM[vm]
}

// takeSecret takes guestinfo.ovfEnv out of a spec and tells whether it was in it.
func takeSecret(spec *types.VirtualMachineConfigSpec) (string, bool) {
	var kept []types.BaseOptionValue
	value, found := "", false
	for _, v := range spec.ExtraConfig {
		ov := v.GetOptionValue()
		if ov.Key == secretKey {
			value, _ = ov.Value.(string)
			found = true
			continue
		}
		kept = append(kept, v)
	}
	spec.ExtraConfig = kept
	return value, found
}

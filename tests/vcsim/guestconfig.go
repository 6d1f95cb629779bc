package main

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/nacl/secretbox"
)

// guestConfig is what the appliance sees of its machine's extraConfig: the
// guestinfo keys, and guestinfo.ovfEnv to open its secrets with. Keys without
// that prefix are hidden from it.
type guestConfig struct {
	keys   map[string]string
	secret string
}

const (
	readOnly  = "guestinfo.vice./"
	readWrite = "guestinfo.vice.."
	nilText   = "<nil>" // how an empty string is written
)

func newGuestConfig(extra map[string]string, secret string) *guestConfig {
	c := &guestConfig{keys: map[string]string{}, secret: secret}
	for k, v := range extra {
		if strings.HasPrefix(k, "guestinfo.") {
			c.keys[k] = v
		}
	}
	return c
}

// isVCH tells whether a machine carries a container host's configuration at all.
func isVCH(extra map[string]string) bool {
	_, id := extra[readOnly+"init/common/id"]
	_, sessions := extra[readOnly+"init/sessions"]
	_, networks := extra[readOnly+"init/networks"]
	return id || sessions || networks
}

func plain(v string) string {
	if v == nilText {
		return ""
	}
	return v
}

// ro reads a read-only key; it must be there.
func (c *guestConfig) ro(path string) (string, error) {
	v, ok := c.keys[readOnly+path]
	if !ok {
		return "", fmt.Errorf("no key %s%s", readOnly, path)
	}
	return plain(v), nil
}

func (c *guestConfig) hasRO(path string) bool {
	_, ok := c.keys[readOnly+path]
	return ok
}

// rw reads a read-write key, given with slashes as its path; it must be there.
func (c *guestConfig) rw(path string) (string, error) {
	k := rwKey(path)
	v, ok := c.keys[k]
	if !ok {
		return "", fmt.Errorf("no key %s", k)
	}
	return plain(v), nil
}

func rwKey(path string) string { return readWrite + strings.ReplaceAll(path, "/", ".") }

// is demands a read-only key's value.
func (c *guestConfig) is(path, want string) error {
	got, err := c.ro(path)
	if err == nil && got != want {
		err = fmt.Errorf("%s is %q, not %q", path, got, want)
	}
	return err
}

func (c *guestConfig) integer(path string) (int, error) {
	v, err := c.ro(path)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		return 0, fmt.Errorf("%s is no number: %q", path, v)
	}
	return n, nil
}

func (c *guestConfig) boolean(path string) (bool, error) {
	v, err := c.ro(path)
	if err == nil && v != "true" && v != "false" {
		err = fmt.Errorf("%s is no boolean: %q", path, v)
	}
	return v == "true", err
}

// list reads a list of strings: the length less one at the path, the elements at path~.
func (c *guestConfig) list(path string) ([]string, error) {
	n, err := c.integer(path)
	if err != nil {
		return nil, err
	}
	v, err := c.ro(path + "~")
	if err != nil {
		return nil, err
	}
	items := strings.Split(v, "|")
	if len(items) != n+1 {
		return nil, fmt.Errorf("%s says %d elements, there are %d", path, n+1, len(items))
	}
	return items, nil
}

// mapKeys reads the keys of a map, which are sorted.
func (c *guestConfig) mapKeys(path string) ([]string, error) {
	v, err := c.ro(path)
	if err != nil || v == "" {
		return nil, err
	}
	keys := strings.Split(v, "|")
	if !slices.IsSorted(keys) {
		return nil, fmt.Errorf("the keys of %s are not sorted: %s", path, v)
	}
	return keys, nil
}

func (c *guestConfig) bytes(path string) ([]byte, error) {
	v, err := c.ro(path)
	if err != nil {
		return nil, err
	}
	b, err := base64.StdEncoding.DecodeString(v)
	if err != nil {
		return nil, fmt.Errorf("%s is not base64: %v", path, err)
	}
	return b, nil
}

// address reads an IP address of 4 or 16 bytes.
func (c *guestConfig) address(path string) (netip.Addr, error) {
	b, err := c.bytes(path)
	if err != nil {
		return netip.Addr{}, err
	}
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		return netip.Addr{}, fmt.Errorf("%s has %d bytes, no address", path, len(b))
	}
	return a.Unmap(), nil
}

// prefix reads an address with its mask.
func (c *guestConfig) prefix(path string) (netip.Prefix, error) {
	a, err := c.address(path + "/IP")
	if err != nil {
		return netip.Prefix{}, err
	}
	bits, err := c.mask(path + "/Mask")
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(a, bits), nil
}

// mask reads a network mask and returns its length.
func (c *guestConfig) mask(path string) (int, error) {
	b, err := c.bytes(path)
	if err != nil {
		return 0, err
	}
	if len(b) != 4 {
		return 0, fmt.Errorf("%s has %d bytes, no mask", path, len(b))
	}
	bits := 0
	for i := range 32 {
		on := b[i/8]&(0x80>>(i%8)) != 0
		if on && bits != i {
			return 0, fmt.Errorf("%s has holes", path)
		}
		if on {
			bits = i + 1
		}
	}
	return bits, nil
}

// opened reads a secret: base64 of a nonce of 24 bytes and the sealed box.
func (c *guestConfig) opened(path string) (string, error) {
	sealed, err := c.bytes(path + "@secret")
	if err != nil {
		return "", err
	}
	key, err := base64.StdEncoding.DecodeString(c.secret)
	if err != nil || len(key) != 32 {
		return "", fmt.Errorf("guestinfo.ovfEnv is no key of 32 bytes")
	}
	if len(sealed) < 24 {
		return "", fmt.Errorf("%s is too short", path)
	}
	text, ok := secretbox.Open(nil, sealed[24:], (*[24]byte)(sealed[:24]), (*[32]byte)(key))
	if !ok {
		return "", fmt.Errorf("%s cannot be opened with guestinfo.ovfEnv", path)
	}
	return plain(string(text)), nil
}

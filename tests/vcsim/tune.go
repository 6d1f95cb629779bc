package main

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// Tuning is the body of POST /tune and the answer of GET /tune; absent members stay as they are.
type Tuning struct {
	GuestBootMS *int              `json:"guest_boot_ms,omitempty"`
	TaskMS      *int              `json:"task_ms,omitempty"`
	SlowMS      *int              `json:"slow_ms,omitempty"` // extra boot delay of slow guests
	Guests      map[string]string `json:"guests,omitempty"`  // machine name or * -> behaviour
}

var behaviours = []string{"ok", "component-fails", "no-address", "api-down", "slow"}

// Tune holds the delays and the guests' behaviour.
type Tune struct {
	mu     sync.Mutex
	boot   time.Duration
	task   time.Duration
	slow   time.Duration
	guests map[string]string
}

func newTune() *Tune {
	return &Tune{boot: 200 * time.Millisecond, slow: 5 * time.Second, guests: map[string]string{}}
}

func (t *Tune) apply(c Tuning) error {
	for vm, b := range c.Guests {
		if !slices.Contains(behaviours, b) {
			return fmt.Errorf("behaviour %q of %s is none of %v", b, vm, behaviours)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, v := range []struct {
		from *int
		to   *time.Duration
	}{{c.GuestBootMS, &t.boot}, {c.TaskMS, &t.task}, {c.SlowMS, &t.slow}} {
		if v.from != nil {
			*v.to = time.Duration(*v.from) * time.Millisecond
		}
	}
	for vm, b := range c.Guests {
		if b == "ok" {
			delete(t.guests, vm)
		} else {
			t.guests[vm] = b
		}
	}
	return nil
}

func (t *Tune) show() Tuning {
	t.mu.Lock()
	defer t.mu.Unlock()
	boot, task, slow := int(t.boot.Milliseconds()), int(t.task.Milliseconds()), int(t.slow.Milliseconds())
	guests := map[string]string{}
	for k, v := range t.guests {
		guests[k] = v
	}
	return Tuning{GuestBootMS: &boot, TaskMS: &task, SlowMS: &slow, Guests: guests}
}

func (t *Tune) taskDelay() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.task
}

// behaviour of one machine: its own, else that of all, else ok.
func (t *Tune) behaviour(vm string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b, ok := t.guests[vm]; ok {
		return b
	}
	if b, ok := t.guests["*"]; ok {
		return b
	}
	return "ok"
}

// bootDelay is how long a machine takes from power-on to its guest's first act.
func (t *Tune) bootDelay(vm string) time.Duration {
	slow := t.behaviour(vm) == "slow"
	t.mu.Lock()
	defer t.mu.Unlock()
	if slow {
		return t.boot + t.slow
	}
	return t.boot
}

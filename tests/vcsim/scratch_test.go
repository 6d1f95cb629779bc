package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestOnlyTheDeadLoseTheirFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"vcsim-1", "vcsim-2", "vcsim-notes", "other-2"} {
		must(t, os.MkdirAll(filepath.Join(dir, name, "files"), 0o700))
	}
	sweep(dir, func(pid int) bool { return pid == 1 })
	for name, kept := range map[string]bool{"vcsim-1": true, "vcsim-2": false, "vcsim-notes": true, "other-2": true} {
		if exists(filepath.Join(dir, name)) != kept {
			t.Errorf("%s: kept=%v", name, !kept)
		}
	}
	if !alive(os.Getpid()) {
		t.Error("this process is dead")
	}
}

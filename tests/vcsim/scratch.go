package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const scratchPrefix = "vcsim-"

// scratch makes this process's own directory for datastore files and removes
// those of processes that were killed before they could clean up.
func scratch(parent string) (string, error) {
	sweep(parent, alive)
	dir := filepath.Join(parent, fmt.Sprintf("%s%d", scratchPrefix, os.Getpid()))
	return dir, os.MkdirAll(dir, 0o700)
}

func alive(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

func sweep(parent string, alive func(int) bool) {
	dirs, _ := filepath.Glob(filepath.Join(parent, scratchPrefix+"*"))
	for _, d := range dirs {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(d), scratchPrefix))
		if err == nil && pid > 0 && !alive(pid) {
			_ = os.RemoveAll(d)
		}
	}
}

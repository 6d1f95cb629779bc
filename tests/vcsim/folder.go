package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
)

// serveFolder is vCenter's access to datastore files over HTTP.
//
// Unlike govmomi's it wants a session (401), a length (411) and an existing
// parent directory (404), and what arrived of an upload that broke off stays.
func (s *Simulator) serveFolder(w http.ResponseWriter, r *http.Request) {
	key := cookieOf(r)
	name := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/folder"), "/")
	dsName := r.URL.Query().Get("dsName")
	object := strings.TrimSuffix(fmt.Sprintf("[%s] %s", dsName, name), " ")
	call := Call{Time: time.Now(), Client: s.sessions.user(key), Method: r.Method + " /folder", Object: object}
	defer func() { s.calls.add(call) }()

	x := &exchange{sim: s, w: w, r: r, key: key, acts: s.faults.take(call.Method, object, call.Client)}
	if x.before() {
		call.Status = x.status
		return
	}
	rec := &recorder{header: http.Header{}, status: http.StatusOK}
	switch {
	case key == "" || !s.sessions.alive(key):
		rec.WriteHeader(http.StatusUnauthorized)
	case !s.isDatacenter(r.URL.Query().Get("dcPath")) || s.datastore(dsName) == nil:
		rec.WriteHeader(http.StatusNotFound)
	case strings.Contains(name, ".."):
		rec.WriteHeader(http.StatusBadRequest)
	default:
		local := filepath.Join(s.datastore(dsName).Summary.Url, filepath.FromSlash(name))
		if s.fileRequest(w, rec, r, x, local) {
			call.Status = max(x.status, rec.status)
			return
		}
	}
	call.Status = rec.status
	if rec.status >= http.StatusBadRequest {
		// The rest of a refused upload is not read.
		w.Header().Set("Connection", "close")
	}
	if x.after(rec) {
		call.Status = x.status
	}
}

// fileRequest acts on a file; true means that the reply is sent already.
func (s *Simulator) fileRequest(w http.ResponseWriter, rec *recorder, r *http.Request, x *exchange, local string) bool {
	switch r.Method {
	case http.MethodPut, http.MethodPost:
		return s.upload(rec, r, x, local)
	case http.MethodDelete:
		if _, err := os.Stat(local); err != nil {
			rec.WriteHeader(http.StatusNotFound)
			return false
		}
		if err := os.RemoveAll(local); err != nil {
			rec.WriteHeader(http.StatusInternalServerError)
			return false
		}
		rec.WriteHeader(http.StatusNoContent)
	case http.MethodGet, http.MethodHead:
		if text, ok := s.vmxText(local); ok {
			http.ServeContent(w, r, "vm.vmx", time.Time{}, strings.NewReader(text))
			return true
		}
		st, err := os.Stat(local)
		if err != nil || st.IsDir() {
			rec.WriteHeader(http.StatusNotFound)
			return false
		}
		http.ServeFile(w, r, local)
		return true
	default:
		rec.WriteHeader(http.StatusMethodNotAllowed)
	}
	return false
}

// upload writes the body to the file; true means the connection was dropped.
func (s *Simulator) upload(rec *recorder, r *http.Request, x *exchange, local string) bool {
	if r.ContentLength < 0 {
		rec.WriteHeader(http.StatusLengthRequired)
		return false
	}
	if st, err := os.Stat(filepath.Dir(local)); err != nil || !st.IsDir() {
		rec.WriteHeader(http.StatusNotFound)
		return false
	}
	if s.over.inUse(local) {
		rec.WriteHeader(http.StatusInternalServerError) // locked by a running machine
		return false
	}
	status := http.StatusCreated
	if _, err := os.Stat(local); err == nil {
		status = http.StatusOK
	}
	f, err := os.Create(local)
	if err != nil {
		rec.WriteHeader(http.StatusInternalServerError)
		return false
	}
	body, cutShort := io.Reader(r.Body), false
	for _, a := range x.acts {
		if a.Type == "truncate" {
			n := a.Bytes
			if n == 0 {
				n = r.ContentLength / 2
			}
			body, cutShort = io.LimitReader(r.Body, n), true
		}
	}
	_, err = io.Copy(f, body)
	err = errors.Join(err, f.Close())
	if cutShort || err != nil {
		drop(x.w)
		rec.status = 0
		return true
	}
	rec.WriteHeader(status)
	return false
}

func (s *Simulator) isDatacenter(path string) bool {
	name := strings.Trim(path, "/")
	for _, e := range s.registry().All("Datacenter") {
		if dc, ok := e.(*simulator.Datacenter); ok && dc.Name == name {
			return true
		}
	}
	return false
}

// vmxText is a machine's configuration file: its extraConfig with guestinfo.ovfEnv,
// which the API hides but the file shows.
func (s *Simulator) vmxText(local string) (string, bool) {
	if filepath.Ext(local) != ".vmx" {
		return "", false
	}
	text := ""
	s.eachVM(s.newContext(), func(vm *simulator.VirtualMachine) {
		if _, path, f := s.datastorePath(vm.Config.Files.VmPathName); f != nil || path != local {
			return
		}
		keys := extraConfig(vm)
		if k := s.secrets.get(vm.Self); k != "" {
			keys[secretKey] = k
		}
		lines := []string{".encoding = \"UTF-8\"", fmt.Sprintf("displayName = %q", vm.Name)}
		for k, v := range keys {
			lines = append(lines, fmt.Sprintf("%s = \"%s\"", k, strings.ReplaceAll(v, `"`, "|22")))
		}
		sort.Strings(lines[2:])
		text = strings.Join(lines, "\n") + "\n"
	})
	return text, text != ""
}

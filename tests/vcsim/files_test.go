package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"
)

// folder calls /folder; an empty key means no cookie.
func (l *lab) folder(method, path, key string, body io.Reader, length int64) *http.Response {
	l.t.Helper()
	u := l.sim.URL() + "/folder/" + path + "?" + url.Values{"dcPath": {"DC0"}, "dsName": {"LocalDS_0"}}.Encode()
	req, err := http.NewRequest(method, u, body)
	must(l.t, err)
	req.ContentLength = length
	if key != "" {
		req.AddCookie(&http.Cookie{Name: sessionCookie, Value: key})
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	resp, err := c.Do(req)
	if err != nil {
		return nil
	}
	l.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func (l *lab) key() string {
	for _, s := range l.sim.sessions.list() {
		if s.UserName == operatorUser {
			return s.Key
		}
	}
	return ""
}

func (l *lab) size(path string) int64 {
	for _, f := range l.sim.dumpFiles() {
		if f.Path == path {
			return f.Size
		}
	}
	return -1
}

func TestTheFolderWantsASessionALengthAndADirectory(t *testing.T) {
	l := newLab(t)
	l.mkdir("[LocalDS_0] d")
	body := func() io.Reader { return strings.NewReader("data") }
	for _, c := range []struct {
		name, method, path, key string
		length                  int64
		status                  int
	}{
		{"no session", "PUT", "d/f", "", 4, 401},
		{"bogus session", "PUT", "d/f", "x", 4, 401},
		{"no session to read", "GET", "d/f", "", 0, 401},
		{"no directory", "PUT", "e/f", l.key(), 4, 404},
		{"no length", "PUT", "d/f", l.key(), -1, 411},
		{"new", "PUT", "d/f", l.key(), 4, 201},
		{"overwritten", "PUT", "d/f", l.key(), 4, 200},
		{"absent", "HEAD", "d/g", l.key(), 0, 404},
		{"outside", "GET", "d/..%2f..%2fetc", l.key(), 0, 400},
		{"delete", "DELETE", "d/f", l.key(), 0, 204},
		{"deleted", "DELETE", "d/f", l.key(), 0, 404},
	} {
		var b io.Reader
		if c.method == "PUT" {
			b = body()
		}
		if r := l.folder(c.method, c.path, c.key, b, c.length); r == nil || r.StatusCode != c.status {
			t.Errorf("%s: %v, not %d", c.name, r, c.status)
		}
	}
	l.upload("d/h", "hello")
	if r := l.folder("HEAD", "d/h", l.key(), nil, 0); r.StatusCode != 200 || r.ContentLength != 5 {
		t.Errorf("HEAD %d %d", r.StatusCode, r.ContentLength)
	}
}

func TestAnUploadThatBreaksOffLeavesWhatArrived(t *testing.T) {
	l := newLab(t)
	l.mkdir("[LocalDS_0] d")
	conn, err := tls.Dial("tcp", l.sim.front.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	must(t, err)
	_, err = fmt.Fprintf(conn, "PUT /folder/d/part?dcPath=DC0&dsName=LocalDS_0 HTTP/1.1\r\nHost: x\r\nCookie: %s=%s\r\nContent-Length: 100\r\n\r\n0123456789", sessionCookie, l.key())
	must(t, err)
	l.eventually("the first bytes arrive", func() bool { return l.size("[LocalDS_0] d/part") >= 0 })
	must(t, conn.Close())
	l.eventually("they stay", func() bool { return l.size("[LocalDS_0] d/part") == 10 })

	l.post("POST", "/faults", Rule{Match: Match{Method: "PUT /folder"}, Action: Action{Type: "truncate", Bytes: 3}}, nil)
	if r := l.folder("PUT", "d/cut", l.key(), bytes.NewReader(make([]byte, 1000)), 1000); r != nil {
		t.Errorf("an answer: %d", r.StatusCode)
	}
	if n := l.size("[LocalDS_0] d/cut"); n != 3 {
		t.Errorf("%d bytes", n)
	}
}

func TestFileManagerKeepsToItsRules(t *testing.T) {
	l := newLab(t)
	dc, err := l.finder.Datacenter(l.ctx, "DC0")
	must(t, err)
	fm := object.NewFileManager(l.client.Client)
	wantSoap[types.FileNotFound](t, fm.MakeDirectory(l.ctx, "[LocalDS_0] a/b", dc, false))
	must(t, fm.MakeDirectory(l.ctx, "[LocalDS_0] a/b", dc, true))
	wantSoap[types.FileAlreadyExists](t, fm.MakeDirectory(l.ctx, "[LocalDS_0] a/b", dc, true))
	wantSoap[types.InvalidDatastore](t, fm.MakeDirectory(l.ctx, "[none] a", dc, true))
	wantSoap[types.InvalidDatastorePath](t, fm.MakeDirectory(l.ctx, "[LocalDS_0] ../x", dc, true))
	l.upload("a/b/f", "12345")
	want[*types.FileNotFound](t, l.failing(fm.MoveDatastoreFile(l.ctx, "[LocalDS_0] a/b/f", dc, "[LocalDS_0] c/f", dc, false)))
	l.wait(fm.MoveDatastoreFile(l.ctx, "[LocalDS_0] a/b/f", dc, "[LocalDS_0] a/g", dc, false))
	l.upload("a/h", "1")
	want[*types.FileAlreadyExists](t, l.failing(fm.MoveDatastoreFile(l.ctx, "[LocalDS_0] a/h", dc, "[LocalDS_0] a/g", dc, false)))
	info := l.wait(fm.MoveDatastoreFile(l.ctx, "[LocalDS_0] a/h", dc, "[LocalDS_0] a/g", dc, true))
	if info.Entity == nil || *info.Entity != dc.Reference() {
		t.Errorf("entity %v", info.Entity)
	}
	want[*types.FileNotFound](t, l.failing(fm.DeleteDatastoreFile(l.ctx, "[LocalDS_0] a/h", dc)))
	want[*types.InvalidArgument](t, l.failing(fm.DeleteDatastoreFile(l.ctx, "[LocalDS_0] ", dc)))
	l.wait(fm.DeleteDatastoreFile(l.ctx, "[LocalDS_0] a", dc))
	if l.size("[LocalDS_0] a/") >= 0 {
		t.Error("the directory is still there")
	}
}

func TestSearchListsSizesAndSubfolders(t *testing.T) {
	l := newLab(t)
	l.mkdir("[LocalDS_0] a/b")
	l.upload("a/x.iso", "123")
	l.upload("a/b/y.iso", "12345")
	ds, err := l.finder.Datastore(l.ctx, "LocalDS_0")
	must(t, err)
	b, err := ds.Browser(l.ctx)
	must(t, err)
	spec := types.HostDatastoreBrowserSearchSpec{MatchPattern: []string{"*.iso"}, Details: &types.FileQueryFlags{FileSize: true, FileType: true}}
	one, ok := l.wait(b.SearchDatastore(l.ctx, "[LocalDS_0] a", &spec)).Result.(types.HostDatastoreBrowserSearchResults)
	if !ok || len(one.File) != 1 || one.File[0].GetFileInfo().FileSize != 3 || one.FolderPath != "[LocalDS_0] a/" {
		t.Errorf("%+v", one)
	}
	all, ok := l.wait(b.SearchDatastoreSubFolders(l.ctx, "[LocalDS_0] a", &spec)).Result.(types.ArrayOfHostDatastoreBrowserSearchResults)
	if r := all.HostDatastoreBrowserSearchResults; !ok || len(r) != 2 || r[1].File[0].GetFileInfo().FileSize != 5 || r[1].FolderPath != "[LocalDS_0] a/b/" {
		t.Errorf("%+v", all)
	}
	want[*types.FileNotFound](t, l.failing(b.SearchDatastore(l.ctx, "[LocalDS_0] z", &spec)))
}

func TestTheDatastoreVanishesWithTheSimulator(t *testing.T) {
	l := newLab(t)
	dir := l.sim.datastore("LocalDS_0").Summary.Url
	l.sim.Close()
	if _, err := net.Dial("tcp", l.sim.front.Addr().String()); err == nil {
		t.Error("it still listens")
	}
	if exists(dir) {
		t.Error("files are left")
	}
}

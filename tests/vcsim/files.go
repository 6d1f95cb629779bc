package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

func (s *Simulator) datastore(name string) *simulator.Datastore {
	for _, e := range s.registry().All("Datastore") {
		if ds, ok := e.(*simulator.Datastore); ok && ds.Name == name {
			return ds
		}
	}
	return nil
}

// datastorePath turns "[ds] dir/file" into the datastore and the file behind it.
func (s *Simulator) datastorePath(text string) (*simulator.Datastore, string, types.BaseMethodFault) {
	var p object.DatastorePath
	if !p.FromString(text) || slices.Contains(strings.Split(p.Path, "/"), "..") {
		return nil, "", &types.InvalidDatastorePath{
			InvalidDatastore: types.InvalidDatastore{Name: p.Datastore}, DatastorePath: text}
	}
	ds := s.datastore(p.Datastore)
	if ds == nil {
		return nil, "", &types.InvalidDatastore{Name: p.Datastore}
	}
	return ds, filepath.Join(ds.Summary.Url, filepath.FromSlash(p.Path)), nil
}

// fileFault is the fault of a failed file operation on a datastore path.
func fileFault(name string, err error) types.BaseMethodFault {
	ff := types.FileFault{File: name}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &types.FileNotFound{FileFault: ff}
	case errors.Is(err, fs.ErrExist):
		return &types.FileAlreadyExists{FileFault: ff}
	}
	return &types.CannotAccessFile{FileFault: ff}
}

// fileTaskEntity is what a file task reports as its entity: the datacenter, not the FileManager.
func fileTaskEntity(dc *moref, this moref) moref {
	if dc != nil {
		return *dc
	}
	return this
}

// noRoot refuses an operation on a datastore's root.
func noRoot(ds *simulator.Datastore, local, name string) types.BaseMethodFault {
	if filepath.Clean(local) == filepath.Clean(ds.Summary.Url) {
		return &types.InvalidArgument{InvalidProperty: name}
	}
	return nil
}

// inUse tells whether a running machine holds a file, or one below a directory.
func (o *overrides) inUse(local string) bool {
	for _, name := range o.usage.held() {
		_, held, f := o.sim.datastorePath(name)
		if f == nil && (held == local || strings.HasPrefix(held, local+string(filepath.Separator))) {
			return true
		}
	}
	return false
}

// MakeDirectory makes a directory; its parents only when it is told to.
func (o *overrides) MakeDirectory(_ *simulator.Context, req *types.MakeDirectory) soap.HasFault {
	body := &methods.MakeDirectoryBody{}
	_, local, f := o.sim.datastorePath(req.Name)
	if f == nil && req.Datacenter == nil {
		f = &types.InvalidArgument{InvalidProperty: "datacenter"}
	}
	if f != nil {
		body.Fault_ = fault(f)
		return body
	}
	if req.CreateParentDirectories != nil && *req.CreateParentDirectories {
		if err := os.MkdirAll(filepath.Dir(local), 0o700); err != nil {
			body.Fault_ = fault(fileFault(req.Name, err))
			return body
		}
	}
	if err := os.Mkdir(local, 0o700); err != nil {
		body.Fault_ = fault(fileFault(req.Name, err))
		return body
	}
	body.Res = new(types.MakeDirectoryResponse)
	return body
}

// DeleteDatastoreFileTask deletes a file or a directory with all in it.
func (o *overrides) DeleteDatastoreFileTask(ctx *simulator.Context, req *types.DeleteDatastoreFile_Task) soap.HasFault {
	return o.task(ctx, "DeleteDatastoreFile_Task", fileTaskEntity(req.Datacenter, req.This), func(*simulator.Context) (types.AnyType, types.BaseMethodFault) {
		ds, local, f := o.sim.datastorePath(req.Name)
		if f == nil {
			f = noRoot(ds, local, "name")
		}
		if f != nil {
			return nil, f
		}
		if _, err := os.Stat(local); err != nil {
			return nil, fileFault(req.Name, err)
		}
		if o.inUse(local) {
			return nil, &types.FileLocked{FileFault: types.FileFault{File: req.Name}}
		}
		if err := os.RemoveAll(local); err != nil {
			return nil, &types.CannotDeleteFile{FileFault: types.FileFault{File: req.Name}}
		}
		return nil, nil
	})
}

// fromTo resolves both ends of a move or copy and guards the target.
func (o *overrides) fromTo(from, to string, force *bool) (string, string, types.BaseMethodFault) {
	sds, src, f := o.sim.datastorePath(from)
	if f != nil {
		return "", "", f
	}
	dds, dst, f := o.sim.datastorePath(to)
	if f != nil {
		return "", "", f
	}
	if f := noRoot(sds, src, "sourceName"); f != nil {
		return "", "", f
	}
	if f := noRoot(dds, dst, "destinationName"); f != nil {
		return "", "", f
	}
	if _, err := os.Stat(src); err != nil {
		return "", "", fileFault(from, err)
	}
	if _, err := os.Stat(filepath.Dir(dst)); err != nil {
		return "", "", fileFault(to, err)
	}
	if _, err := os.Stat(dst); err == nil && (force == nil || !*force) {
		return "", "", &types.FileAlreadyExists{FileFault: types.FileFault{File: to}}
	}
	return src, dst, nil
}

// MoveDatastoreFileTask moves a file or directory; the target's directory must be there.
func (o *overrides) MoveDatastoreFileTask(ctx *simulator.Context, req *types.MoveDatastoreFile_Task) soap.HasFault {
	return o.task(ctx, "MoveDatastoreFile_Task", fileTaskEntity(req.SourceDatacenter, req.This), func(*simulator.Context) (types.AnyType, types.BaseMethodFault) {
		src, dst, f := o.fromTo(req.SourceName, req.DestinationName, req.Force)
		if f != nil {
			return nil, f
		}
		if o.inUse(src) {
			return nil, &types.FileLocked{FileFault: types.FileFault{File: req.SourceName}}
		}
		if err := os.Rename(src, dst); err != nil {
			return nil, fileFault(req.SourceName, err)
		}
		return nil, nil
	})
}

// CopyDatastoreFileTask copies one file.
func (o *overrides) CopyDatastoreFileTask(ctx *simulator.Context, req *types.CopyDatastoreFile_Task) soap.HasFault {
	return o.task(ctx, "CopyDatastoreFile_Task", fileTaskEntity(req.SourceDatacenter, req.This), func(*simulator.Context) (types.AnyType, types.BaseMethodFault) {
		src, dst, f := o.fromTo(req.SourceName, req.DestinationName, req.Force)
		if f != nil {
			return nil, f
		}
		if err := copyFile(src, dst); err != nil {
			return nil, fileFault(req.SourceName, err)
		}
		return nil, nil
	})
}

func copyFile(src, dst string) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(dst)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// SearchDatastoreTask lists one directory.
func (o *overrides) SearchDatastoreTask(ctx *simulator.Context, req *types.SearchDatastore_Task) soap.HasFault {
	return o.task(ctx, "SearchDatastore_Task", o.searched(req.This, req.DatastorePath), func(*simulator.Context) (types.AnyType, types.BaseMethodFault) {
		found, f := o.search(req.DatastorePath, req.SearchSpec, false)
		if f != nil {
			return nil, f
		}
		return found[0], nil
	})
}

// SearchDatastoreSubFoldersTask lists a directory and all below it.
func (o *overrides) SearchDatastoreSubFoldersTask(ctx *simulator.Context, req *types.SearchDatastoreSubFolders_Task) soap.HasFault {
	return o.task(ctx, "SearchDatastoreSubFolders_Task", o.searched(req.This, req.DatastorePath), func(*simulator.Context) (types.AnyType, types.BaseMethodFault) {
		found, f := o.search(req.DatastorePath, req.SearchSpec, true)
		if f != nil {
			return nil, f
		}
		return types.ArrayOfHostDatastoreBrowserSearchResults{HostDatastoreBrowserSearchResults: found}, nil
	})
}

// searched is the entity of a search task: the datastore.
func (o *overrides) searched(browser moref, name string) moref {
	if ds, _, f := o.sim.datastorePath(name); f == nil {
		return ds.Self
	}
	return browser
}

func (o *overrides) search(name string, spec *types.HostDatastoreBrowserSearchSpec, deep bool) ([]types.HostDatastoreBrowserSearchResults, types.BaseMethodFault) {
	ds, local, f := o.sim.datastorePath(name)
	if f != nil {
		return nil, f
	}
	if spec == nil {
		spec = &types.HostDatastoreBrowserSearchSpec{}
	}
	entries, err := os.ReadDir(local)
	if err != nil {
		return nil, &types.FileNotFound{FileFault: types.FileFault{File: name}}
	}
	res := types.HostDatastoreBrowserSearchResults{Datastore: &ds.Self, FolderPath: folderText(name)}
	var below []types.HostDatastoreBrowserSearchResults
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue // deleted meanwhile
		}
		if matches(spec, e.Name()) && queried(spec, info) {
			res.File = append(res.File, fileInfo(spec.Details, info))
		}
		if deep && e.IsDir() {
			more, f := o.search(childText(name, e.Name()), spec, true)
			if f == nil {
				below = append(below, more...)
			}
		}
	}
	return append([]types.HostDatastoreBrowserSearchResults{res}, below...), nil
}

// folderText writes a folder as vCenter does: with a slash at its end, unless it is the root.
func folderText(name string) string {
	if strings.HasSuffix(name, "]") || strings.HasSuffix(name, "/") {
		return name
	}
	if strings.HasSuffix(name, "] ") {
		return strings.TrimSuffix(name, " ")
	}
	return name + "/"
}

func childText(name, child string) string {
	dir := folderText(name)
	if strings.HasSuffix(dir, "]") {
		dir += " "
	}
	return dir + child
}

func matches(spec *types.HostDatastoreBrowserSearchSpec, name string) bool {
	if len(spec.MatchPattern) == 0 {
		return true
	}
	for _, p := range spec.MatchPattern {
		if ok, err := path.Match(p, name); err == nil && ok {
			return true
		}
	}
	return false
}

func queried(spec *types.HostDatastoreBrowserSearchSpec, info os.FileInfo) bool {
	if len(spec.Query) == 0 {
		return true
	}
	for _, q := range spec.Query {
		switch q.(type) {
		case *types.FolderFileQuery:
			if info.IsDir() {
				return true
			}
		case *types.IsoImageFileQuery:
			if path.Ext(info.Name()) == ".iso" {
				return true
			}
		case *types.VmConfigFileQuery:
			if path.Ext(info.Name()) == ".vmx" {
				return true
			}
		case *types.FileQuery:
			return true
		}
	}
	return false
}

func fileInfo(details *types.FileQueryFlags, info os.FileInfo) types.BaseFileInfo {
	out := types.FileInfo{Path: info.Name()}
	if details != nil && details.FileSize {
		out.FileSize = info.Size()
	}
	if details != nil && details.Modification {
		t := info.ModTime()
		out.Modification = &t
	}
	switch {
	case details == nil || !details.FileType:
		return &out
	case info.IsDir():
		return &types.FolderFileInfo{FileInfo: out}
	case path.Ext(info.Name()) == ".iso":
		return &types.IsoImageFileInfo{FileInfo: out}
	case path.Ext(info.Name()) == ".vmx":
		return &types.VmConfigFileInfo{FileInfo: out}
	case path.Ext(info.Name()) == ".log":
		return &types.VmLogFileInfo{FileInfo: out}
	}
	return &out
}

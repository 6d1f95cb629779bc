package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

// A vCenter parses requests against its schema: unknown elements, elements out
// of order, missing required ones and unparsable values are refused. govmomi's
// simulator takes elements in any order, so the check is made here, before it
// sees the request. The order of fields in govmomi's generated types is the
// order of the schema, base types first.

const (
	nsEnvelope = "http://schemas.xmlsoap.org/soap/envelope/"
	nsSchema   = "http://www.w3.org/2001/XMLSchema-instance"
	nsVim      = "urn:vim25"
	nsInternal = "urn:internalvim25"
)

// node is one XML element with its children, text and namespace-resolved name.
type node struct {
	name     xml.Name
	attrs    []xml.Attr
	children []*node
	text     string
}

func (n *node) attr(space, local string) string {
	for _, a := range n.attrs {
		if a.Name.Local == local && (space == "" || a.Name.Space == space) {
			return a.Value
		}
	}
	return ""
}

// xsiType is the local part of xsi:type, whatever prefix it carries.
func (n *node) xsiType() string {
	v := n.attr(nsSchema, "type")
	if v == "" {
		v = n.attr("XMLSchema-instance", "type")
	}
	if i := strings.LastIndexByte(v, ':'); i >= 0 {
		v = v[i+1:]
	}
	return v
}

func (n *node) child(local string) *node {
	for _, c := range n.children {
		if c.name.Local == local {
			return c
		}
	}
	return nil
}

func parseXML(data []byte) (*node, error) {
	dec := xml.NewDecoder(strings.NewReader(string(data)))
	root := &node{}
	stack := []*node{root}
	for {
		tok, err := dec.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		top := stack[len(stack)-1]
		switch t := tok.(type) {
		case xml.StartElement:
			n := &node{name: t.Name, attrs: slices.Clone(t.Attr)}
			top.children = append(top.children, n)
			stack = append(stack, n)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			top.text += string(t)
		}
	}
	if len(root.children) != 1 {
		return nil, fmt.Errorf("not one document element")
	}
	return root.children[0], nil
}

// soapRequest is what the outside of a request tells: its method, its object.
type soapRequest struct {
	method string
	object string
	user   string // of Login only
	this   types.ManagedObjectReference
	params *node
}

// parseRequest finds the method in an envelope; the error is fit for a fault string.
func parseRequest(data []byte) (*soapRequest, error) {
	root, err := parseXML(data)
	if err != nil {
		return nil, fmt.Errorf("XML document is not well formed: %v", err)
	}
	if root.name.Local != "Envelope" || root.name.Space != nsEnvelope {
		return nil, fmt.Errorf("unexpected document element %q in namespace %q", root.name.Local, root.name.Space)
	}
	body := root.child("Body")
	if body == nil || body.name.Space != nsEnvelope || len(body.children) != 1 {
		return nil, fmt.Errorf("element Body with one child expected")
	}
	r := &soapRequest{method: body.children[0].name.Local, params: body.children[0]}
	if this := r.params.child("_this"); this != nil {
		r.this = types.ManagedObjectReference{Type: this.attr("", "type"), Value: strings.TrimSpace(this.text)}
		r.object = r.this.Type + ":" + r.this.Value
	}
	if u := r.params.child("userName"); u != nil && r.method == "Login" {
		r.user = u.text
	}
	return r, nil
}

// validate checks the request against the schema; nil when a vCenter would parse it.
func (r *soapRequest) validate() error {
	if s := r.params.name.Space; s != nsVim && s != nsInternal {
		return fmt.Errorf("element %s is in namespace %q, not %s", r.method, s, nsVim)
	}
	t, ok := types.TypeFunc()(r.method)
	if !ok {
		return fmt.Errorf("unexpected element tag %q seen: no such method", r.method)
	}
	return checkStruct(r.params, t, r.method, r.params.name.Space)
}

// field is one element of a type in schema order.
type field struct {
	name     string
	typ      reflect.Type
	typed    bool // xsi:type must tell the type
	attr     bool
	text     bool
	required bool
}

// fieldsOf lists a type's elements in schema order: those of its base first.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("xml")
		if f.Anonymous && tag == "" {
			out = append(out, fieldsOf(f.Type)...)
			continue
		}
		parts := strings.Split(tag, ",")
		if parts[0] == "-" || tag == "" || newerThanAnnounced(f.Tag.Get("vim")) {
			continue
		}
		fd := field{name: parts[0], typ: f.Type}
		opts := parts[1:]
		fd.typed = slices.Contains(opts, "typeattr")
		fd.attr = slices.Contains(opts, "attr")
		fd.text = slices.Contains(opts, "chardata")
		k := f.Type.Kind()
		fd.required = !slices.Contains(opts, "omitempty") && k != reflect.Pointer && k != reflect.Slice
		out = append(out, fd)
	}
	return out
}

// newerThanAnnounced tells whether an element came with a later API than ours.
func newerThanAnnounced(version string) bool {
	if version == "" {
		return false
	}
	have, want := strings.Split(apiVersion, "."), strings.Split(version, ".")
	for i := range want {
		w, _ := strconv.Atoi(want[i])
		h := 0
		if i < len(have) {
			h, _ = strconv.Atoi(have[i])
		}
		if w != h {
			return w > h
		}
	}
	return false
}

var (
	timeType      = reflect.TypeFor[time.Time]()
	referenceType = reflect.TypeFor[types.ManagedObjectReference]()
	byteSliceType = reflect.TypeFor[types.ByteSlice]()
)

func checkStruct(n *node, t reflect.Type, path, space string) error {
	fields := fieldsOf(t)
	at := 0
	for _, c := range n.children {
		where := path + "." + c.name.Local
		if c.name.Space != space {
			return fmt.Errorf("element %s is in namespace %q, not %s", where, c.name.Space, space)
		}
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == c.name.Local && !f.attr })
		if i < 0 {
			return fmt.Errorf("unexpected element tag %q seen while parsing %s of type %s", c.name.Local, path, t.Name())
		}
		repeat := i == at-1
		if i < at && !repeat {
			return fmt.Errorf("element %q of %s is out of order: it must stand before %q", c.name.Local, path, fields[at-1].name)
		}
		if repeat && fields[i].typ.Kind() != reflect.Slice {
			return fmt.Errorf("element %q of %s is given twice", c.name.Local, path)
		}
		if err := missing(fields[at:max(i, at)], path); err != nil {
			return err
		}
		at = i + 1
		if err := checkField(c, fields[i], where, space); err != nil {
			return err
		}
	}
	return missing(fields[at:], path)
}

func missing(skipped []field, path string) error {
	for _, f := range skipped {
		if f.required && !f.attr && !f.text {
			return fmt.Errorf("required element %q of %s is missing", f.name, path)
		}
	}
	return nil
}

func checkField(n *node, f field, path, space string) error {
	t := f.typ
	if t.Kind() == reflect.Slice && t != byteSliceType {
		t = t.Elem()
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if x := n.xsiType(); x != "" && t != referenceType {
		sub, err := subtype(x, t)
		if err != nil {
			return fmt.Errorf("element %s: %w", path, err)
		}
		t = sub
	} else if f.typed || t.Kind() == reflect.Interface {
		return fmt.Errorf("element %s needs an xsi:type", path)
	}
	return checkValue(n, t, path, space)
}

// xsdTypes are the values that an any-typed element may hold.
var xsdTypes = map[string]reflect.Type{
	"string": reflect.TypeFor[string](), "boolean": reflect.TypeFor[bool](), "byte": reflect.TypeFor[int8](),
	"short": reflect.TypeFor[int16](), "int": reflect.TypeFor[int32](), "long": reflect.TypeFor[int64](),
	"float": reflect.TypeFor[float32](), "double": reflect.TypeFor[float64](), "dateTime": timeType,
}

// subtype resolves an xsi:type and checks that the declared type allows it.
func subtype(name string, declared reflect.Type) (reflect.Type, error) {
	t, ok := xsdTypes[name]
	if !ok {
		t, ok = types.TypeFunc()(name)
	}
	if !ok {
		return nil, fmt.Errorf("xsi:type %q is unknown", name)
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	fits := true
	switch declared.Kind() {
	case reflect.Interface:
		fits = reflect.PointerTo(t).Implements(declared) || t.Implements(declared)
	case reflect.Struct:
		fits = t == declared
	}
	if !fits {
		return nil, fmt.Errorf("xsi:type %q does not fit %s", name, declared.Name())
	}
	return t, nil
}

func checkValue(n *node, t reflect.Type, path, space string) error {
	text := strings.TrimSpace(n.text)
	if t == referenceType {
		if n.attr("", "type") == "" || text == "" {
			return fmt.Errorf("element %s is a reference: it needs a type attribute and a value", path)
		}
		return nil
	}
	if t == timeType {
		if _, err := time.Parse(time.RFC3339Nano, text); err != nil {
			return fmt.Errorf("element %s: %q is no xsd:dateTime", path, text)
		}
		return nil
	}
	if t.Kind() == reflect.Struct {
		return checkStruct(n, t, path, space)
	}
	if len(n.children) > 0 {
		return fmt.Errorf("unexpected element tag %q seen while parsing the simple value %s", n.children[0].name.Local, path)
	}
	return checkSimple(text, t, path)
}

func checkSimple(text string, t reflect.Type, path string) error {
	var err error
	switch t.Kind() {
	case reflect.Bool:
		if !slices.Contains([]string{"true", "false", "1", "0"}, text) {
			err = fmt.Errorf("no boolean")
		}
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Int:
		_, err = strconv.ParseInt(text, 10, t.Bits())
	case reflect.Uint8:
		_, err = strconv.ParseUint(text, 10, 8)
	case reflect.Float32, reflect.Float64:
		_, err = strconv.ParseFloat(text, t.Bits())
	case reflect.String:
		if e, ok := reflect.Zero(t).Interface().(interface{ Strings() []string }); ok && !slices.Contains(e.Strings(), text) {
			err = fmt.Errorf("not one of %s", strings.Join(e.Strings(), ", "))
		}
	}
	if err != nil {
		return fmt.Errorf("element %s: bad value %q: %v", path, text, err)
	}
	return nil
}

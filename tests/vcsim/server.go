package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"time"

	vimxml "github.com/vmware/govmomi/vim25/xml"

	"github.com/vmware/govmomi/vim25/types"
)

const (
	sessionCookie = "vmware_soap_session"
	maxBody       = 64 << 20
)

// frontHandler is the vCenter as clients see it.
func (s *Simulator) frontHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/sdk", s.serveSOAP)
	mux.HandleFunc("/sdk/", s.serveSOAP)
	mux.HandleFunc("/sdk/vimServiceVersions.xml", s.svc.ServiceVersions)
	mux.HandleFunc("/folder", s.serveFolder)
	mux.HandleFunc("/folder/", s.serveFolder)
	return mux
}

func cookieOf(r *http.Request) string {
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return ""
	}
	return c.Value
}

func (s *Simulator) serveSOAP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	if r.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return
	}
	key := cookieOf(r)
	req, err := parseRequest(body)
	if err != nil {
		writeFault(w, "ClientFaultCode", err.Error(), &types.InvalidRequest{})
		return
	}
	user := s.sessions.user(key)
	if req.method == "Login" {
		user = req.user
	}
	call := Call{Time: start, Client: user, Method: req.method, Object: req.object}
	defer func() { s.calls.add(call) }()

	x := &exchange{sim: s, w: w, r: r, key: key, acts: s.faults.take(req.method, req.object, user)}
	if x.before() {
		call.Status = x.status
		return
	}
	rec := &recorder{header: http.Header{}, status: http.StatusOK}
	if err := req.validate(); err != nil {
		writeFault(rec, "ClientFaultCode", err.Error(), &types.InvalidRequest{})
	} else {
		s.sent.note(user, req)
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.URL.Path = "/sdk"
		s.svc.ServeSDK(rec, r)
	}
	if req.method == "Login" {
		s.noteLogin(rec, user)
	}
	call.Status, call.Fault = rec.status, rec.fault()
	if x.after(rec) {
		call.Status = x.status
	}
}

func (s *Simulator) noteLogin(rec *recorder, user string) {
	resp := http.Response{Header: rec.header}
	for _, c := range resp.Cookies() {
		if c.Name == sessionCookie {
			s.sessions.login(c.Value, user)
		}
	}
}

// exchange applies the rules of the control port to one request.
type exchange struct {
	sim    *Simulator
	w      http.ResponseWriter
	r      *http.Request
	key    string
	acts   []Action
	status int
}

// before acts ahead of the work; true means the request is done with.
func (x *exchange) before() bool {
	for _, a := range x.acts {
		switch a.Type {
		case "delay":
			if !x.sim.sleep(time.Duration(a.Delay) * time.Millisecond) {
				return true
			}
		case "expire-session":
			x.sim.sessions.expire(x.key)
		case "drop-before":
			drop(x.w)
			return true
		case "hold-before":
			x.sim.faults.holds.hold(x.r.Context())
			drop(x.w)
			return true
		case "status", "body":
			x.status = max(a.Status, 0)
			if x.status == 0 {
				x.status = http.StatusServiceUnavailable
				if a.Type == "body" {
					x.status = http.StatusOK
				}
			}
			x.w.WriteHeader(x.status)
			_, _ = io.WriteString(x.w, a.Body)
			return true
		case "fault":
			f, err := newFault(a.Fault)
			if err == nil {
				x.status = http.StatusInternalServerError
				writeFault(x.w, "ServerFaultCode", a.Body, f)
				return true
			}
		}
	}
	return false
}

// after sends the reply, or does to it what the rules say; true means it was tampered with.
func (x *exchange) after(rec *recorder) bool {
	for _, a := range x.acts {
		switch a.Type {
		case "drop-after-commit":
			drop(x.w)
			return true
		case "hold-after-commit":
			x.sim.faults.holds.hold(x.r.Context())
			drop(x.w)
			return true
		case "truncate":
			x.status = rec.status
			n := int64(rec.body.Len() / 2)
			if a.Bytes > 0 {
				n = min(a.Bytes, int64(rec.body.Len()))
			}
			cut(x.w, rec, n)
			return true
		}
	}
	rec.copyTo(x.w)
	return false
}

// drop closes the connection without an answer.
func drop(w http.ResponseWriter) {
	if h, ok := w.(http.Hijacker); ok {
		if c, _, err := h.Hijack(); err == nil {
			_ = c.Close()
		}
	}
}

// cut announces the whole reply, sends its first bytes and closes the connection.
func cut(w http.ResponseWriter, rec *recorder, n int64) {
	h, ok := w.(http.Hijacker)
	if !ok {
		return
	}
	c, buf, err := h.Hijack()
	if err != nil {
		return
	}
	defer func(c net.Conn) { _ = c.Close() }(c)
	_, _ = fmt.Fprintf(buf, "HTTP/1.1 %d %s\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n",
		rec.status, http.StatusText(rec.status), rec.body.Len())
	_, _ = buf.Write(rec.body.Bytes()[:n])
	_ = buf.Flush()
}

// recorder keeps a reply until it is known what becomes of it.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header is the reply's header.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader notes the status.
func (r *recorder) WriteHeader(status int) { r.status = status }

// Write keeps a part of the body.
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

var faultType = regexp.MustCompile(`xsi:type="(\w+)"`)

func (r *recorder) fault() string {
	if r.status == http.StatusOK {
		return ""
	}
	if m := faultType.FindSubmatch(r.body.Bytes()); m != nil {
		return string(m[1])
	}
	return ""
}

func (r *recorder) copyTo(w http.ResponseWriter) {
	for k, v := range r.header {
		w.Header()[k] = v
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	}
	w.Header().Set("Content-Length", strconv.Itoa(r.body.Len()))
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body.Bytes())
}

// writeFault answers with a SOAP fault, as a vCenter does with status 500.
func writeFault(w http.ResponseWriter, code, text string, f types.BaseMethodFault) {
	kind := typeNameOf(f)
	var text2, detail bytes.Buffer
	_ = xml.EscapeText(&text2, []byte(text))
	enc := vimxml.NewEncoder(&detail)
	_ = enc.EncodeElement(f, vimxml.StartElement{
		Name: vimxml.Name{Local: kind + "Fault"},
		Attr: []vimxml.Attr{
			{Name: vimxml.Name{Local: "xmlns"}, Value: nsVim},
			{Name: vimxml.Name{Local: "xsi:type"}, Value: kind},
		},
	})
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.WriteHeader(http.StatusInternalServerError)
	_, _ = fmt.Fprintf(w, `%s<soapenv:Envelope xmlns:soapenv="%s" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="%s"><soapenv:Body>`+
		`<soapenv:Fault><faultcode>%s</faultcode><faultstring>%s</faultstring><detail>%s</detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>`,
		xml.Header, nsEnvelope, nsSchema, code, text2.String(), detail.String())
}

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// longPoll is how long GET /held waits at most.
const longPoll = 25 * time.Second

// controlHandler is the control port: plain JSON on loopback, without authentication.
func (s *Simulator) controlHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /calls", func(w http.ResponseWriter, r *http.Request) {
		since, _ := strconv.ParseInt(r.URL.Query().Get("since"), 10, 64)
		reply(w, s.calls.report(since))
	})
	mux.HandleFunc("DELETE /calls", func(w http.ResponseWriter, _ *http.Request) {
		s.calls.reset()
		reply(w, struct{}{})
	})
	mux.HandleFunc("GET /dump", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.dump()) })
	mux.HandleFunc("GET /sent", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.sent.list()) })
	mux.HandleFunc("GET /vms/{moref}", s.getMachine)
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.faults.list()) })
	mux.HandleFunc("DELETE /faults", func(w http.ResponseWriter, _ *http.Request) {
		s.faults.clear()
		reply(w, struct{}{})
	})
	mux.HandleFunc("POST /faults", handle(s.postFault))
	mux.HandleFunc("GET /held", func(w http.ResponseWriter, r *http.Request) {
		wait, err := strconv.ParseInt(r.URL.Query().Get("wait_ms"), 10, 64)
		if err != nil || wait > longPoll.Milliseconds() {
			wait = longPoll.Milliseconds()
		}
		reply(w, map[string]int{"held": s.faults.holds.wait(time.Duration(wait) * time.Millisecond)})
	})
	mux.HandleFunc("GET /tune", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.tune.show()) })
	mux.HandleFunc("POST /tune", handle(s.postTune))
	mux.HandleFunc("POST /sessions/expire", handle(s.postExpire))
	mux.HandleFunc("POST /containers", handle(s.postContainer))
	mux.HandleFunc("POST /edit", handle(s.postEdit))
	return mux
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	_ = enc.Encode(v)
}

// handle decodes the body, refusing members it does not know, and answers 400 to an error.
func handle[T any](f func(*T) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var req T
		dec := json.NewDecoder(r.Body)
		dec.DisallowUnknownFields()
		err := dec.Decode(&req)
		var out any
		if err == nil {
			out, err = f(&req)
		}
		if err != nil {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
			return
		}
		reply(w, out)
	}
}

func (s *Simulator) postFault(r *Rule) (any, error) {
	if err := s.faults.add(r); err != nil {
		return nil, err
	}
	return map[string]int{"id": r.ID}, nil
}

func (s *Simulator) postTune(t *Tuning) (any, error) {
	if err := s.tune.apply(*t); err != nil {
		return nil, err
	}
	s.guests.retune()
	return s.tune.show(), nil
}

// expireRequest ends the sessions of a user; without a user those of all.
type expireRequest struct {
	User string `json:"user"`
}

func (s *Simulator) postExpire(r *expireRequest) (any, error) {
	return map[string]int{"expired": s.sessions.expireUser(r.User)}, nil
}

func unknown(what, name string) error { return fmt.Errorf("no %s %q", what, name) }

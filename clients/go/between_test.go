package latchd

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// between stands before a server and does what it likes with each answer.
type between struct {
	url     string
	closing chan struct{}

	mu    sync.Mutex
	heard []*exchange
}

// exchange is a request that the server has carried out, and its answer, of which the client has not heard yet.
type exchange struct {
	method, path, key string
	traceparent       string
	request           []byte
	status            int
	header            http.Header
	body              []byte
	// The connection to the client, once it is taken over.
	conn    net.Conn
	closing chan struct{}
}

// put makes a proxy; fault is whether an answer is dealt with, and does not go on as it is; rewrites change
// the requests.
func put(t *testing.T, before *server, fault func(*exchange) bool, rewrites ...func([]byte) []byte) *between {
	t.Helper()
	b := &between{closing: make(chan struct{})}
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		for _, rewrite := range rewrites {
			asked = rewrite(asked)
		}
		forward, err := http.NewRequestWithContext(r.Context(), r.Method, before.url+r.URL.RequestURI(), bytes.NewReader(asked))
		if err != nil {
			return
		}
		forward.Header = r.Header.Clone()
		answer, err := http.DefaultTransport.RoundTrip(forward)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		e := &exchange{
			method: r.Method, path: r.URL.Path, key: r.Header.Get("Idempotency-Key"), request: asked,
			traceparent: r.Header.Get("traceparent"),
			status:      answer.StatusCode, header: answer.Header, body: body, closing: b.closing,
		}
		b.mu.Lock()
		b.heard = append(b.heard, e)
		b.mu.Unlock()
		if e.conn, _, err = http.NewResponseController(w).Hijack(); err != nil {
			return
		}
		defer e.conn.Close()
		if fault == nil || !fault(e) {
			e.say(e.status, e.header.Get("Content-Type"), e.body)
		}
	}))
	t.Cleanup(func() { close(b.closing); listener.Close() })
	b.url = listener.URL
	return b
}

// say sends an answer.
func (e *exchange) say(status int, kind string, body []byte) { e.send(written(status, kind, body)) }

func (e *exchange) send(bytes []byte) { _, _ = e.conn.Write(bytes) }

// rest waits until the end of the test at most.
func (e *exchange) rest(duration time.Duration) {
	select {
	case <-time.After(duration):
	case <-e.closing:
	}
}

// written is an answer as it goes over the wire.
func written(status int, kind string, body []byte) []byte {
	head := fmt.Sprintf("HTTP/1.1 %d So\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", status, kind, len(body))
	return append([]byte(head), body...)
}

// keys is the idempotency keys of the requests for a path.
func (b *between) keys(path string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var keys []string
	for _, each := range b.heard {
		if each.path == path {
			keys = append(keys, each.key)
		}
	}
	return keys
}

// once is a fault of the first answer for each of these paths.
func once(fault func(*exchange), paths ...string) func(*exchange) bool {
	var mu sync.Mutex
	left := map[string]bool{}
	for _, path := range paths {
		left[path] = true
	}
	return func(e *exchange) bool {
		mu.Lock()
		is := left[e.path]
		delete(left, e.path)
		mu.Unlock()
		if is {
			fault(e)
		}
		return is
	}
}

// lose is a fault: the request is done, and the client does not hear of it.
func lose(*exchange) {}

// always is a fault of every answer for a path.
func always(path string, fault func(*exchange)) func(*exchange) bool {
	return func(e *exchange) bool {
		if e.path == path {
			fault(e)
		}
		return e.path == path
	}
}

func stall(e *exchange) { e.rest(time.Minute) }

func trickle(e *exchange) {
	for _, each := range written(e.status, "application/json", e.body) {
		e.send([]byte{each})
		e.rest(150 * time.Millisecond)
	}
}

func stopInBody(e *exchange) {
	whole := written(e.status, "application/json", e.body)
	e.send(whole[:len(whole)-5])
	e.rest(time.Minute)
}

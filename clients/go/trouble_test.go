package latchd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var _ = behaviour("retry", func(t *testing.T) {
	proxy := put(t, common, once(lose, "/session", "/v1/lock", "/v1/unlock"))
	client, other := connect(t, proxy.url), connect(t, common.url)
	hold, err := client.Lock(testContext(t), "retry", Wait(30*time.Second), Size(2))
	must(t, err)
	shown, err := other.Show(testContext(t), "retry")
	must(t, err)
	check(t, len(shown.Holders) == 1 && shown.Holders[0].Token == hold.Token(), "%+v", shown)
	release(t, hold)
	for _, path := range []string{"/session", "/v1/lock"} {
		keys := proxy.keys(path)
		check(t, len(keys) == 2 && keys[0] == keys[1] && keys[0] != "", "%s: %q", path, keys)
	}
	check(t, len(proxy.keys("/v1/unlock")) == 2 && isFree(t, other, "retry", Size(2)), "it is still held")
	// A hold that was over before its answer came is taken again.
	proxy = put(t, common, once(func(e *exchange) { e.rest(1500 * time.Millisecond) }, "/v1/lock"))
	hold, err = connect(t, proxy.url).Lock(testContext(t), "retry-2", Wait(10*time.Second), Lease(time.Second))
	must(t, err)
	keys := proxy.keys("/v1/lock")
	check(t, len(keys) == 3 && keys[0] == keys[1] && keys[1] != keys[2] && hold.Check() == nil, "%q", keys)
	release(t, hold)
})

var _ = behaviour("nodes", func(t *testing.T) {
	gone := start(t)
	gone.kill()
	silent := start(t)
	silent.pause(t)
	far := put(t, common, nil)
	front := put(t, common, func(e *exchange) bool {
		// It goes silent with the first renewal.
		if e.path == "/v1/renew" {
			stall(e)
		}
		return e.path == "/v1/renew"
	})
	client := connect(t, strings.Join([]string{gone.url, front.url, far.url}, ", "))
	var hold *Hold
	check(t, took(func() { hold = locked(t, client, "nodes", Lease(8*time.Second)) }) < 9*time.Second, "the dead node is in the way")
	passed(t, hold, 10*time.Second)
	check(t, len(far.keys("/v1/renew")) > 1, "not renewed through the other node")
	release(t, hold)
	hold, err := connect(t, silent.url+","+common.url).Lock(testContext(t), "nodes-2", Wait(30*time.Second))
	must(t, err)
	release(t, hold)
})

var _ = behaviour("restart", func(t *testing.T) {
	data := t.TempDir()
	first := start(t, "--data-dir", data)
	client := connect(t, first.url, WithPatience(30*time.Second))
	hold, err := client.Lock(testContext(t), "restart", Lease(time.Minute))
	must(t, err)
	first.kill()
	next := taking(t, client, testContext(t), "restart-2")
	time.Sleep(300 * time.Millisecond) // The service is down for so long.
	startWith(t, first.url, nil, "--data-dir", data)
	got := within(t, next)
	must(t, got.err)
	check(t, got.hold.Token() > hold.Token() && hold.Check() == nil, "%v, %v", got.hold, hold)
	release(t, hold)
	release(t, got.hold)
	must(t, client.Close())
})

var _ = behaviour("unreachable", func(t *testing.T) {
	gone := start(t)
	gone.kill()
	client := connect(t, gone.url, WithPatience(500*time.Millisecond))
	var err error
	spent := took(func() { _, err = client.Lock(testContext(t), "unreachable") })
	mustBe(t, err, ErrUnreachable)
	mustSay(t, err, "refused")
	check(t, spent > 200*time.Millisecond && spent < 9*time.Second, "it took %v", spent)
	// An end of TLS that breaks off is tried again.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	accepted := make(chan struct{}, 100)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			accepted <- struct{}{}
			connection.Close()
		}
	}()
	_, err = connect(t, "https://"+listener.Addr().String(), WithPatience(500*time.Millisecond)).TryLock(testContext(t), "a")
	mustBe(t, err, ErrUnreachable)
	check(t, len(accepted) > 1, "it was tried %d times", len(accepted))
})

var _ = behaviour("credential", func(t *testing.T) {
	server := start(t, "--password", "sesame: open")
	_, err := connect(t, server.url, WithPassword("not it")).Lock(testContext(t), "credential")
	var refused *RefusedError
	check(t, errors.As(err, &refused) && refused.Status == 401, "%v", err)
	mustSay(t, err, "this password or API key is not known")
	_, err = connect(t, server.url).Lock(testContext(t), "credential")
	mustSay(t, err, "a password or an API key is needed")
	_, err = connect(t, server.url, WithAPIKey("not it")).Lock(testContext(t), "credential")
	mustBe(t, err, ErrRefused)
	client := connect(t, server.url, WithPassword("sesame: open"))
	must(t, client.Do(testContext(t), "credential", Options{Lease(8 * time.Second)}, func(_ context.Context, hold *Hold) error {
		passed(t, hold, 10*time.Second)
		return nil
	}))
})

var _ = behaviour("certificate", func(t *testing.T) {
	server := startWith(t, "https://127.0.0.1:0", nil)
	for _, wait := range []Option{Wait(time.Minute), Wait(0), Wait(time.Hour)} {
		var err error
		spent := took(func() { _, err = connect(t, server.url).Lock(testContext(t), "certificate", wait) })
		mustBe(t, err, ErrUnreachable)
		mustSay(t, err, "certificate")
		mustSay(t, err, "WithRootsFile")
		var untrusted *tls.CertificateVerificationError
		check(t, errors.As(err, &untrusted), "%v", err)
		check(t, spent < 30*time.Second, "it took %v", spent)
	}
	client := connect(t, server.url, WithRootsFile(filepath.Join(server.home, "certs/dev-cert.pem")))
	release(t, locked(t, client, "certificate"))
})

var _ = behaviour("foreign-answer", func(t *testing.T) {
	const page = "<html>nothing here</html>"
	for n, foreign := range []struct {
		status     int
		body, kind string
	}{
		{404, page, "text/html"},
		{404, `{"error": "no such route"}`, "application/json"},
		{404, `{"type": "about:blank", "code": "no-such-lock"}`, "application/problem+json"},
		{410, page, "text/html"},
		{200, page, "text/html"},
		{200, `[]`, "application/json"},
		{302, page, "text/html"},
		{401, page, "text/html"},
	} {
		proxy := put(t, common, func(e *exchange) bool { e.say(foreign.status, foreign.kind, []byte(foreign.body)); return true })
		client := connect(t, proxy.url)
		_, err := client.Lock(testContext(t), "foreign", Wait(0))
		mustBe(t, err, ErrRefused)
		mustSay(t, err, fmt.Sprintf("answered %d", foreign.status))
		_, err = client.Show(testContext(t), "foreign")
		check(t, errors.Is(err, ErrRefused), "%d: %v", n, err)
	}
	// The grant of another lock, an answer of the wrong shape, and one without an end.
	mixed := put(t, common, once(func(e *exchange) {
		e.say(200, "application/json", []byte(strings.ReplaceAll(string(e.body), `"mine"`, `"theirs"`)))
	}, "/v1/lock"))
	hold := locked(t, connect(t, mixed.url), "mine")
	check(t, hold.Name() == "mine" && len(mixed.keys("/v1/lock")) == 2, "%v", hold)
	for _, body := range []string{`{"locked": true, "name": "foreign-2"}`, `{"locked": "true"}`, `{}`} {
		wrong := put(t, common, always("/v1/lock", func(e *exchange) { e.say(200, "application/json", []byte(body)) }))
		_, err := connect(t, wrong.url, WithPatience(200*time.Millisecond)).TryLock(testContext(t), "foreign-2")
		mustBe(t, err, ErrUnreachable)
	}
	// One without an end, and one that leads elsewhere.
	endless := put(t, common, always("/v1/lock", func(e *exchange) {
		e.send([]byte("HTTP/1.1 200 So\r\nContent-Type: application/json\r\n\r\n{"))
		for err := error(nil); err == nil; {
			_, err = e.conn.Write([]byte(strings.Repeat(" ", 1<<20)))
		}
	}))
	_, err := connect(t, endless.url, WithPatience(200*time.Millisecond)).TryLock(testContext(t), "foreign-4")
	mustSay(t, err, "an answer of more than")
	away := put(t, common, nil)
	leads := put(t, common, always("/v1/lock", func(e *exchange) {
		e.send([]byte("HTTP/1.1 307 So\r\nLocation: " + away.url + "\r\nContent-Length: 0\r\n\r\n"))
	}))
	_, err = connect(t, leads.url).TryLock(testContext(t), "foreign-5")
	mustSay(t, err, "answered 307")
	check(t, len(away.heard) == 0, "it was followed")
	// What a proxy says meanwhile loses no hold.
	brief := put(t, common, once(func(e *exchange) { e.say(404, "text/html", []byte(page)) }, "/v1/renew"))
	hold = locked(t, connect(t, brief.url), "foreign-3", Lease(8*time.Second))
	passed(t, hold, 10*time.Second)
})

var _ = behaviour("older-service", func(t *testing.T) {
	other := connect(t, common.url)
	for field, opts := range map[string]Options{"names": {And("older-b")}, "mode": {Shared()}, "weight": {Size(2), Weight(2)}} {
		said := fmt.Sprintf(`{"code": 3, "message": "the field \"%s\" is not known (known here: name)", "details": []}`, field)
		old := put(t, common, always("/v1/lock", func(e *exchange) { e.say(400, "application/json", []byte(said)) }))
		_, err := connect(t, old.url).Lock(testContext(t), "older-"+field, opts...)
		mustBe(t, err, ErrRefused)
		mustSay(t, err, "the service is older than what is asked of it")
	}
	// One that ignores `names` gives the first alone; that is given back.
	ignores := put(t, common, always("/v1/lock", func(e *exchange) {
		e.say(200, "application/json", []byte(strings.ReplaceAll(string(e.body), `"names":["older-1","older-2"],`, "")))
	}))
	_, err := connect(t, ignores.url).Lock(testContext(t), "older-1", And("older-2"))
	mustBe(t, err, ErrRefused)
	mustSay(t, err, "the service is older than what is asked of it")
	eventually(t, func() bool { return isFree(t, other, "older-1") })
	// One that ignores `mode` gives the lock alone.
	alone := put(t, common, nil, func(asked []byte) []byte {
		return []byte(strings.ReplaceAll(string(asked), `,"mode":"shared"`, ""))
	})
	_, err = connect(t, alone.url).Lock(testContext(t), "older-3", Shared())
	mustBe(t, err, ErrRefused)
	mustSay(t, err, "the service is older than what is asked of it")
	eventually(t, func() bool { return isFree(t, other, "older-3") })
	for path, ask := range map[string]func(*Client) error{
		"/v1/upgrade": func(client *Client) error { return locked(t, client, "older-c", Shared()).Upgrade(testContext(t)) },
		"/v1/elections": func(client *Client) error {
			_, err := client.Elect(testContext(t), "older-d", "one")
			return err
		},
	} {
		said := `{"code": 5, "message": "there is nothing at ` + path + `", "details": []}`
		old := put(t, common, always(path, func(e *exchange) { e.say(404, "application/json", []byte(said)) }))
		err := ask(connect(t, old.url))
		mustBe(t, err, ErrRefused)
		mustSay(t, err, "older")
	}
})

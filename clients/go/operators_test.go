package latchd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

const frozenFor = "release 7, ticket 4411"

var _ = behaviour("frozen", func(t *testing.T) {
	client := connect(t, common.url)
	common.freeze(t, "frozen/", "prefix", frozenFor)
	for _, wait := range []time.Duration{0, 200 * time.Millisecond} {
		_, err := client.Lock(testContext(t), "frozen/a", Wait(wait))
		mustBe(t, err, ErrFrozen)
		mustBe(t, err, ErrNotAcquired)
		var frozen *FrozenError
		check(t, errors.As(err, &frozen) && frozen.Name == "frozen/a", "%v", err)
		freeze := frozen.Freeze
		check(t, freeze.Target == "frozen/" && freeze.Match == "prefix" && freeze.Reason == frozenFor, "%+v", freeze)
		isAnHour := func(left time.Duration) bool { return left > 3500*time.Second && left < 3602*time.Second }
		check(t, isAnHour(freeze.Remaining) && isAnHour(time.Until(freeze.Until)), "%+v", freeze)
		said := `all names that start with "frozen/" are frozen until ` + freeze.Until.Format(time.DateTime) + " UTC: " + frozenFor
		mustSay(t, err, said)
	}
	_, err := client.TryLock(testContext(t), "frozen/a")
	mustBe(t, err, ErrFrozen)
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	_, err = client.Elect(ctx, "frozen/b", "me")
	mustBe(t, err, ErrFrozen)
	mustBe(t, err, context.DeadlineExceeded)
	// A holder goes on, and is told of; its upgrade is a new grant.
	hold := locked(t, client, "frozen-c", Shared())
	common.freeze(t, "frozen-c", "name", frozenFor)
	err = hold.Upgrade(testContext(t), Wait(0))
	mustBe(t, err, ErrFrozen)
	must(t, hold.Check())
	_, err = client.Lock(testContext(t), "frozen-d", And("frozen-c"), Wait(0))
	var busy *NotAcquiredError
	check(t, errors.As(err, &busy) && len(busy.Holders) == 1 && busy.Holders[0].Token == hold.Token(), "%v", err)
	mustSay(t, err, frozenFor)
	shown, err := client.Show(testContext(t), "frozen-c")
	check(t, err == nil && shown.Frozen != nil && shown.Frozen.Reason == frozenFor, "%+v, %v", shown, err)
})

var _ = behaviour("frozen-wait", func(t *testing.T) {
	logged := &collected{}
	client := connect(t, common.url, WithLogger(slog.New(slog.NewTextHandler(logged, nil))))
	client.openFor = 200 * time.Millisecond
	common.freeze(t, "frozen-wait", "name", frozenFor)
	waiting := taking(t, client, testContext(t), "frozen-wait", Wait(20*time.Second))
	eventually(t, func() bool { return strings.Contains(logged.String(), frozenFor) })
	select {
	case got := <-waiting:
		t.Fatalf("it did not wait: %v", got)
	case <-time.After(600 * time.Millisecond): // More requests, of which the log tells nothing.
	}
	check(t, strings.Count(logged.String(), frozenFor) == 1, "%s", logged)
	common.thaw(t, "frozen-wait")
	got := within(t, waiting)
	must(t, got.err)
	release(t, got.hold)
})

var _ = behaviour("lock-delay", func(t *testing.T) {
	var session struct {
		ID string `json:"session_id"`
	}
	common.ask(t, "POST", "/session", nil, nil, &session)
	wanted := map[string]any{"name": "delayed", "lock_timeout_seconds": 0.05, "lock_delay_seconds": 60}
	common.ask(t, "POST", "/v1/lock", nil, wanted, nil, "Cookie", cookieName+"="+session.ID)
	client := connect(t, common.url)
	eventually(t, func() bool {
		shown, err := client.Show(testContext(t), "delayed")
		must(t, err)
		return shown.DelayedFor > 0
	})
	_, err := client.Lock(testContext(t), "delayed", Wait(0))
	mustBe(t, err, ErrNotAcquired)
	mustSay(t, err, `"delayed" is not granted for 1m0s, because of how its last hold ended`)
})

// saying is an answer that is a problem document of latchd.
func saying(e *exchange, status int, code, detail, more string) {
	body, _ := json.Marshal(map[string]any{"type": "/docs/errors#" + code, "code": code, "detail": detail, "status": status})
	e.say(status, problemType+more, body)
}

var _ = behaviour("rate", func(t *testing.T) {
	slow := startWith(t, "http://127.0.0.1:0", []string{`LATCHD_QUOTAS_RATES=[{ prefix = "slow/", requests_per_second = 1 }]`})
	client := connect(t, slow.url)
	release(t, locked(t, client, "slow/a"))
	spent := took(func() { release(t, locked(t, client, "slow/a")) })
	check(t, spent > 500*time.Millisecond, "it took %v", spent)
	// A retry that the service wants too late.
	tired := put(t, common, always("/v1/lock", func(e *exchange) {
		saying(e, 429, "rate-exceeded", `at most 7 requests a second: the rate of "ci"`, "\r\nRetry-After: 60")
	}))
	var err error
	spent = took(func() { _, err = connect(t, tired.url).Lock(testContext(t), "slow", Wait(20*time.Second)) })
	var unreachable *UnreachableError
	check(t, errors.As(err, &unreachable) && unreachable.RetryAfter == time.Minute, "%v", err)
	check(t, unreachable.Code == "rate-exceeded" && len(tired.keys("/v1/lock")) == 1, "%+v", unreachable)
	mustSay(t, err, "at most 7 requests a second")
	check(t, spent < 15*time.Second, "it took %v", spent)
})

type spanKey struct{}

var _ = behaviour("trace", func(t *testing.T) {
	var mu sync.Mutex
	traces := map[string][]string{}
	proxy := put(t, common, func(e *exchange) bool {
		mu.Lock()
		defer mu.Unlock()
		traces[e.path] = append(traces[e.path], e.traceparent)
		return false
	})
	client := connect(t, proxy.url, WithHeaders(func(ctx context.Context, header http.Header) {
		header.Set("Cookie", "ldlm-session=of-somebody-else")
		if span, ok := ctx.Value(spanKey{}).(string); ok {
			header.Set("traceparent", span)
		}
	}))
	const span = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	hold, err := client.Lock(context.WithValue(testContext(t), spanKey{}, span), "traced", Lease(8*time.Second))
	must(t, err)
	eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(traces["/v1/renew"]) > 0
	})
	release(t, hold)
	mu.Lock()
	defer mu.Unlock()
	for path, want := range map[string]string{"/session": span, "/v1/lock": span, "/v1/renew": "", "/v1/unlock": ""} {
		check(t, len(traces[path]) > 0 && traces[path][0] == want, "%s: %q", path, traces[path])
	}
})

var _ = behaviour("refusal", func(t *testing.T) {
	for n, told := range []struct {
		status int
		code   string
	}{
		{503, "audit-unwritten"},
		{429, "share-full"},
		{401, "credential-expired"},
		{409, "of-a-newer-service"},
		{451, "of-a-newer-service"},
	} {
		proxy := put(t, common, always("/v1/lock", func(e *exchange) {
			saying(e, told.status, told.code, "these are the words \x1b[2J", "")
		}))
		_, err := connect(t, proxy.url, WithPatience(200*time.Millisecond)).Lock(testContext(t), fmt.Sprint("refusal-", n))
		mustSay(t, err, `these are the words \x1b[2J`)
		code := ""
		if refused := (*RefusedError)(nil); errors.As(err, &refused) {
			code = refused.Code
		} else if unreachable := (*UnreachableError)(nil); errors.As(err, &unreachable) {
			code = unreachable.Code
		}
		check(t, code == told.code, "%d: %v", told.status, err)
	}
	// A freeze as no service tells it today, and one that does not wait: it is not asked as fast as it answers.
	odd := put(t, common, always("/v1/lock", func(e *exchange) {
		e.say(200, "application/json", []byte(`{"locked": false, "name": "odd", "key": "", "frozen": {"until": 7, "match": "regex"}}`))
	}))
	_, err := connect(t, odd.url).Lock(testContext(t), "odd", Wait(800*time.Millisecond))
	mustBe(t, err, ErrFrozen)
	asked := len(odd.keys("/v1/lock"))
	check(t, asked > 1 && asked < 8, "it was asked %d times", asked)
})

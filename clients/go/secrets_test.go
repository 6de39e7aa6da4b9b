package latchd

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// written collects what is logged.
type collected struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (c *collected) Write(text []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.Write(text)
}

func (c *collected) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

func regexpQuoted(text string) *regexp.Regexp { return regexp.MustCompile(regexp.QuoteMeta(text)) }

var _ = behaviour("no-secrets", func(t *testing.T) {
	const password = "sesame-open-7"
	server := start(t, "--password", password)
	logged := &collected{}
	log := slog.New(slog.NewJSONHandler(logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	options := []ClientOption{WithPassword(password), WithLogger(log), WithPatience(3 * time.Second)}
	client, other := connect(t, server.url, options...), connect(t, server.url, options...)
	hold := locked(t, client, "secret", Lease(8*time.Second))
	lead, err := client.Elect(testContext(t), "secret-lead", "value")
	must(t, err)
	id, err := other.SessionID(testContext(t))
	must(t, err)
	given, err := locked(t, client, "secret-given").Transfer(testContext(t), id)
	must(t, err)
	_, held := other.Lock(testContext(t), "secret", Wait(0))
	_, wrong := lead.Transfer(testContext(t), id)
	server.kill()
	_, gone := client.TryLock(testContext(t), "secret-2")
	within(t, hold.Lost())
	released := hold.Release(testContext(t))
	undone := client.Do(context.Background(), "secret-3", nil, nil)

	// As it is, and within others, where no method of ours is asked.
	type inside struct {
		client any
		given  Transferred
		hold   *Hold
	}
	things := []any{client, hold, lead, lead.Hold, given, &given, held, wrong, gone, released, undone, hold.Context(),
		inside{client, given, hold}, options[0], []any{client, given}}
	var shown strings.Builder
	for _, thing := range things {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%q", "%x"} {
			fmt.Fprintf(&shown, verb+"\n", thing)
		}
		log.Info("shown", "thing", thing)
	}
	fmt.Fprintln(&shown, logged)
	check(t, strings.Contains(logged.String(), "a lock is lost"), "nothing was logged: %s", logged)
	secrets := []string{password, base64.StdEncoding.EncodeToString([]byte("latchd:" + password)), id,
		hold.granted.key(), hold.session.id(), lead.granted.key(), lead.session.id(), given.key()}
	for n, secret := range secrets {
		for _, written := range []string{secret, fmt.Sprintf("%x", secret)} {
			found := regexp.MustCompile(`.*` + regexp.QuoteMeta(written) + `.*`).FindString(shown.String())
			check(t, len(secret) > 8 && found == "", "secret %d is shown: %s", n, found)
		}
	}
})

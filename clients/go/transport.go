package latchd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

const (
	connectLimit = 5 * time.Second
	firstPause   = 50 * time.Millisecond
	longestPause = 2 * time.Second
	// Most bytes of the head of an answer.
	headMax = 64 << 10
)

// call is a request; the same for every attempt.
type call struct {
	method string
	path   string
	query  url.Values
	body   any
	// The id of its session; a secret.
	session string
	// Set if repeating the call would do harm.
	key string
	// Decodes an answer; tells what is wrong with one that belongs to another request.
	read func(body []byte) string
}

// patience is how long a call is sent again while no node answers.
type patience struct {
	// No attempt begins after this moment, but each URL is tried once in any case.
	until moment
	// How long one attempt may take.
	attempt time.Duration
	// The longest pause between two rounds where a hold is at stake; 0: at least as long as the service asks for.
	pause time.Duration
	// Whether an attempt that takes longer ends the call: it stood open because it waits.
	waits bool
	// Nothing goes on after this moment, whatever the other end does.
	ends moment
}

// answer is what is known of a successful one, besides what its call has read.
type answer struct {
	// A moment before the answered attempt was sent.
	sent moment
	// How many attempts there were.
	attempts int
	header   http.Header
}

// transport has connections to the nodes of one service, and what is shown to them.
type transport struct {
	bases []string
	// Empty without a credential.
	authorization secret
	http          *http.Client
	// Adds headers for a caller; nil: nobody wants to.
	headers func(ctx context.Context, header http.Header)
	turn    atomic.Uint32
}

func newTransport(urls string, set *settings) (*transport, error) {
	t := &transport{authorization: hidden(set.authorization), headers: set.headers}
	for _, each := range strings.Split(urls, ",") {
		base, err := baseOf(strings.TrimSpace(each))
		if err != nil {
			return nil, err
		}
		t.bases = append(t.bases, base)
	}
	dialer := &net.Dialer{Timeout: connectLimit, KeepAlive: 15 * time.Second}
	t.http = &http.Client{
		Transport: &http.Transport{
			// No proxy from the environment: it may cut long waits.
			Proxy:               nil,
			DialContext:         dialer.DialContext,
			TLSClientConfig:     set.tls,
			TLSHandshakeTimeout: connectLimit,
			// As many as call at once, and each goes when it is not needed.
			MaxIdleConnsPerHost:    32,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: headMax,
			DisableCompression:     true,
			// No HTTP/2: after an attempt that timed out the next one shall have another connection.
			TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return t, nil
}

func baseOf(text string) (string, error) {
	if text == "" {
		return "", errors.New("latchd: no URL was given")
	}
	parts, err := url.Parse(text)
	if err != nil || (parts.Scheme != "http" && parts.Scheme != "https") || parts.Hostname() == "" {
		return "", fmt.Errorf("latchd: not an http or https URL: %q", redacted(text))
	}
	if parts.User != nil || parts.RawQuery != "" || parts.Fragment != "" {
		return "", errors.New("latchd: a URL has no user, query or fragment; WithPassword and WithAPIKey take credentials")
	}
	return strings.TrimRight(text, "/"), nil
}

// redacted is a text that may be a URL, without what may be a credential in it.
func redacted(text string) string {
	if at := strings.LastIndex(text, "@"); at >= 0 {
		return "…" + text[at:]
	}
	return text
}

// send sends a call until it is answered. A final refusal is not repeated.
func (t *transport) send(ctx context.Context, c call, p patience) (answer, error) {
	nodes := len(t.bases)
	turn := t.turn.Load()
	pause := firstPause
	var earlier *UnreachableError
	for attempts := 1; ; attempts++ {
		limit := p.ends.left()
		if !p.waits {
			// A node that is silent leaves time for the others.
			limit /= time.Duration(max(1, nodes-attempts+1))
		}
		got, err := t.attempt(ctx, c, t.bases[int(turn)%nodes], min(p.attempt, limit))
		if err == nil {
			t.turn.Store(turn)
			got.attempts = attempts
			return got, nil
		}
		if ctx.Err() != nil {
			return answer{}, ended(ctx)
		}
		var failed *UnreachableError
		if !errors.As(err, &failed) {
			return answer{}, err
		}
		failed = failed.with(earlier)
		if !failed.cutShort {
			earlier = failed
		}
		turn = (turn + 1) % uint32(nodes)
		if p.waits && failed.cutShort {
			t.turn.Store(turn)
			return answer{}, failed
		}
		if attempts < nodes && p.ends.left() > 0 {
			continue
		}
		var wait time.Duration
		if attempts%nodes == 0 {
			// Spread, so that many clients of a service that comes back do not all knock at the same moment.
			spread := pause/2 + rand.N(pause/2+1)
			wait = max(spread, failed.RetryAfter)
			longest := longestPause
			if p.pause > 0 {
				wait, longest = min(wait, p.pause), p.pause
			}
			pause = min(2*pause, longest)
		}
		if failed.final || min(p.until, p.ends).left() <= wait {
			return answer{}, failed
		}
		if !rest(ctx, wait) {
			return answer{}, ended(ctx)
		}
	}
}

// with tells of the attempt before: one for which no time was left hides why there was none.
func (e *UnreachableError) with(earlier *UnreachableError) *UnreachableError {
	if earlier == nil || !e.cutShort {
		return e
	}
	return &UnreachableError{Message: e.Message + "; before that: " + earlier.Message, cutShort: true}
}

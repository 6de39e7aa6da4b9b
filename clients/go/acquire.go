package latchd

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"
)

const (
	// openMax is the longest that one request of a wait stays open: less than the idle timeout of balancers (60 s is
	// common). The next request has the same idempotency key, and so keeps the place in the queue.
	openMax = 50 * time.Second
	// sessionsMax is how many sessions may end while one lock is acquired; more are an error.
	sessionsMax = 3
	// earlyPause is the rest after an answer that came before the end of the wait that was asked for.
	earlyPause = 250 * time.Millisecond
)

// errNotGranted: the wait ended without the lock.
var errNotGranted = errors.New("latchd: not granted")

// newKey is an idempotency key.
func newKey() string {
	var random [16]byte
	if _, err := rand.Read(random[:]); err != nil {
		panic(err) // The system has no random numbers.
	}
	return hex.EncodeToString(random[:])
}

// acquire takes a lock through failovers and within the caller's time, with a lease that can be trusted. The hold is a use
// of its session.
func (c *Client) acquire(ctx context.Context, own *owner, w *wanted, l limits) (granted, error) {
	for gone := 0; ; {
		// Time may be left: the service limits waits, and a lease may expire before its grant arrives.
		longest := time.Duration(c.longestWait.Load())
		wait := min(l.over.left(), longest)
		session, err := c.use(ctx, own, l.patience(c, 0), gone > 0)
		if err != nil {
			return granted{}, err
		}
		askedUntil := now().after(wait)
		ask := c.question(w, session, wait)
		hold, err := c.ask(ctx, ask, l)
		var refused *RefusedError
		switch {
		case err == nil:
			return hold, nil
		case isRefusal(err, sessionEnded):
			c.end(session, sessionGone)
			if gone++; gone >= sessionsMax {
				return granted{}, err
			}
			continue
		case errors.Is(err, errNotGranted), errors.Is(err, ErrFrozen), isRefusal(err, holdEnded):
			c.sessions.leave(session)
			if l.over.left() == 0 {
				return granted{}, err
			}
			if askedUntil.left() > 0 && !isRefusal(err, holdEnded) {
				// It did not wait so long as it was asked to; so it is not asked as fast as it answers.
				rest(ctx, min(earlyPause, l.over.left()))
			}
			continue
		case errors.As(err, &refused) && refused.kind != unaskedHold:
			c.sessions.leave(session)
			// The service may be set to a shorter wait, and says so in the one way or the other.
			if shorter, ok := refusedWait(refused); ok && shorter < wait {
				c.longestWait.Store(int64(shorter))
				continue
			}
			if refused.Code == "would-deadlock" {
				return granted{}, &WouldDeadlockError{Name: w.places[0].name}
			}
			return granted{}, err
		case errors.Is(err, ErrWouldDeadlock):
			c.sessions.leave(session)
			return granted{}, err
		}
		// Its outcome is unknown: nothing of it shall stay.
		c.abandon(session, func(ctx context.Context) { c.giveBackUnknown(ctx, ask) })
		return granted{}, err
	}
}

// question is one request for a lock, the same for each of its attempts.
type question struct {
	wanted  *wanted
	session *session
	call    call
	told    *holdAnswer
	waits   bool
}

func (c *Client) question(w *wanted, session *session, wait time.Duration) question {
	body := w.body()
	if wait > 0 {
		// Absent means to try once. 0 has meant other things.
		body["wait_timeout_seconds"] = math.Max(0.001, math.Round(wait.Seconds()*1000)/1000)
	}
	told := &holdAnswer{}
	names := w.names()
	request := call{
		method: http.MethodPost, path: "/v1/lock", body: body, session: session.id(), key: newKey(),
		read: reading(told, lockCheck(names)),
	}
	if w.campaign {
		request.path, request.query = "/v1/elections", url.Values{"name": {names[0]}}
		request.read = reading(told, electedCheck(names[0]))
	}
	return question{wanted: w, session: session, call: request, told: told, waits: wait > 0}
}

// ask sends requests under one idempotency key until one has an answer.
func (c *Client) ask(ctx context.Context, ask question, l limits) (granted, error) {
	told := false
	for {
		open := time.Duration(0)
		if ask.waits {
			open = c.openFor
		}
		got, err := c.transport.send(ctx, ask.call, l.patience(c, open))
		if err == nil {
			return c.trusted(ctx, ask, got, l)
		}
		if !isCutShort(err) || !ask.waits || l.ends.left() == 0 {
			return granted{}, err
		}
		told = told || c.tellOfFreeze(ctx, ask.wanted)
	}
}

// tellOfFreeze logs what a long wait waits for, if that is the end of a freeze; whether it is.
func (c *Client) tellOfFreeze(ctx context.Context, w *wanted) bool {
	for _, each := range w.places {
		if found, err := c.look(ctx, each.name); err == nil && found.Frozen != nil {
			c.log.Warn("waiting for a frozen lock", "lock", each.name, "freeze", found.Frozen.String())
			return true
		}
	}
	return false
}

// trusted is the hold, with most of its lease left. A wait may have been granted at any time since it began, so a lease
// that may be older is renewed first.
func (c *Client) trusted(ctx context.Context, ask question, got answer, l limits) (granted, error) {
	told, w := ask.told, ask.wanted
	if err := told.deadlock(w.places[0].name); err != nil {
		return granted{}, err
	}
	if code, message := told.fault(); code != "" && code != "LockWaitTimeout" {
		return granted{}, &RefusedError{Message: w.shown() + ": " + printable(message), Status: 200, Code: code}
	}
	hold, has := ask.hold(got)
	if !has {
		if freeze := freezeOf(told.Frozen); freeze != nil {
			return granted{}, newFrozen(w.places[0].name, *freeze)
		}
		return granted{}, errNotGranted
	}
	if hold.until.left() >= hold.longest()/4*3 {
		return hold, nil
	}
	// It takes its time even where the wait is just over.
	p := l.patience(c, 0)
	p.ends = max(p.ends, now().after(shortestLimit))
	renewed, got, err := c.renew(ctx, &hold, p)
	if err != nil {
		return granted{}, err
	}
	hold.sent, hold.until = got.sent, leaseEnd(renewed.ExpiresIn, hold.longest(), got.sent)
	if !*renewed.Locked || hold.until.left() == 0 {
		return granted{}, errNotGranted
	}
	return hold, nil
}

// hold is the one that the answer gives, if any.
func (q question) hold(got answer) (granted, bool) {
	told := q.told
	if !(told.Locked != nil && *told.Locked) && !(told.Elected != nil && *told.Elected) {
		return granted{}, false
	}
	hold := granted{
		names: q.wanted.names(), key: hidden(told.Key), token: *told.Token,
		lease: q.wanted.lease, sent: got.sent, session: q.session,
	}
	hold.until = leaseEnd(told.ExpiresIn, hold.longest(), got.sent)
	return hold, true
}

// giveBackUnknown asks once more for what nobody waits for any more, and releases it if it was granted.
func (c *Client) giveBackUnknown(ctx context.Context, ask question) {
	p := patience{until: now(), attempt: time.Second, ends: now().after(farewell)}
	got, err := c.transport.send(ctx, ask.call, p)
	if err != nil {
		return
	}
	if hold, has := ask.hold(got); has {
		_, _, _ = c.unlock(ctx, &hold, p)
	}
}

var refusedWaits = regexp.MustCompile(`wait_timeout_seconds must be a number of seconds from 0 to ([0-9]+(?:[.][0-9]+)?)`)

// refusedWait is the longest wait that the service takes, where it refused a longer one.
func refusedWait(refused *RefusedError) (time.Duration, bool) {
	found := refusedWaits.FindStringSubmatch(refused.Message)
	if found == nil || (refused.Status != 200 && refused.Status != 400) {
		return 0, false
	}
	number, err := strconv.ParseFloat(found[1], 64)
	return seconds(number), err == nil && number > 0
}

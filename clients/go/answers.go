package latchd

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A proxy may mix up answers or make its own, and another server may answer. So each answer is checked against its
// request: the functions below decode one, and tell what is wrong with it.

type object map[string]json.RawMessage

func objectOf(body []byte) object {
	var fields object
	if json.Unmarshal(body, &fields) != nil {
		return nil
	}
	return fields
}

// text is a field that is a text, and empty otherwise.
func (o object) text(field string) string {
	var text string
	_ = json.Unmarshal(o[field], &text)
	return text
}

// sentence is the one in an error body, in whichever shape it came; else its beginning.
func sentence(fields object, body []byte) string {
	for _, field := range []string{"detail", "message", "error"} {
		if said := fields.text(field); said != "" {
			return printable(said)
		}
	}
	said := strings.TrimSpace(string(body[:min(300, len(body))]))
	if said == "" {
		return "no reason given"
	}
	return printable(strings.ToValidUTF8(said, ""))
}

// reading decodes an answer into a place that is made anew for each attempt.
func reading[T any](into *T, check func(*T) string) func([]byte) string {
	return func(body []byte) string {
		*into = *new(T)
		if json.Unmarshal(body, into) != nil {
			return "its fields are not those of this call"
		}
		return check(into)
	}
}

type sessionAnswer struct {
	ID   string   `json:"session_id"`
	Idle *float64 `json:"idle_timeout_seconds"`
}

func (a *sessionAnswer) check() string {
	if a.ID == "" {
		return "it names no session"
	}
	return ""
}

// idle is how long the session lives without a request; older services say it in the cookie alone.
func (a *sessionAnswer) idle(header http.Header) time.Duration {
	if a.Idle != nil && *a.Idle > 0 {
		return seconds(*a.Idle)
	}
	const usual = 600 * time.Second
	cookies := (&http.Response{Header: header}).Cookies()
	for _, cookie := range cookies {
		if cookie.Name != cookieName {
			continue
		}
		if cookie.MaxAge > 0 {
			return time.Duration(cookie.MaxAge) * time.Second
		}
		date, err := http.ParseTime(header.Get("Date"))
		if left := cookie.Expires.Sub(date); err == nil && !cookie.Expires.IsZero() && left > 0 {
			return left
		}
	}
	return usual
}

// holdAnswer is that of each call about a hold or a campaign.
type holdAnswer struct {
	Locked      *bool           `json:"locked"`
	Elected     *bool           `json:"elected"`
	Unlocked    *bool           `json:"unlocked"`
	Transferred *bool           `json:"transferred"`
	Name        string          `json:"name"`
	Names       []string        `json:"names"`
	Key         string          `json:"key"`
	Token       *uint64         `json:"fencing_token"`
	ExpiresIn   *float64        `json:"expires_in_seconds"`
	Fault       json.RawMessage `json:"error"`
	Frozen      json.RawMessage `json:"frozen"`
	Cycle       []struct {
		Name        *string `json:"name"`
		HeldBy      string  `json:"held_by"`
		WaitedForBy string  `json:"waited_for_by"`
	} `json:"cycle"`
}

// fault is the error in an answer: its code and its message, empty without one.
func (a *holdAnswer) fault() (code, message string) {
	fields := objectOf(a.Fault)
	return fields.text("code"), fields.text("message")
}

// deadlock is the one that an answer refuses; nil without one.
func (a *holdAnswer) deadlock(name string) error {
	if code, _ := a.fault(); code != "WouldDeadlock" {
		return nil
	}
	refused := &WouldDeadlockError{Name: name}
	for _, step := range a.Cycle {
		blocked := BlockedBy{HeldBy: step.HeldBy, WaitedForBy: step.WaitedForBy}
		if step.Name != nil {
			blocked.Name = *step.Name
		}
		refused.Cycle = append(refused.Cycle, blocked)
	}
	return refused
}

// freezeOf is the freeze that an answer tells of; nil without one.
func freezeOf(told json.RawMessage) *Freeze {
	fields := objectOf(told)
	if fields == nil {
		return nil
	}
	freeze := &Freeze{Target: fields.text("target"), Match: fields.text("match"), Reason: fields.text("reason")}
	var remaining float64
	_ = json.Unmarshal(fields["remaining_seconds"], &remaining)
	freeze.Remaining = seconds(remaining)
	until, err := time.Parse(time.RFC3339, fields.text("until"))
	if err != nil {
		// The wall clock, for messages only.
		until = time.Now().Add(freeze.Remaining)
	}
	freeze.Until = until
	return freeze
}

func (a *holdAnswer) about(name string) string {
	if a.Name != name {
		return fmt.Sprintf("it is about %q, not %q", a.Name, name)
	}
	return ""
}

func (a *holdAnswer) granted(flag *bool, field, name string) string {
	switch {
	case flag == nil:
		return "it does not say whether " + field
	case *flag && (a.Key == "" || a.Token == nil):
		return "it has no key and fencing token"
	}
	return a.about(name)
}

func lockCheck(names []string) func(*holdAnswer) string {
	return func(a *holdAnswer) string {
		wrong := a.granted(a.Locked, "locked", names[0])
		if wrong == "" && *a.Locked && len(names) > 1 && !slices.Equal(a.Names, names) {
			if a.Names == nil {
				return "it gives one lock alone: " + olderService
			}
			return "it does not name all the locks"
		}
		return wrong
	}
}

func electedCheck(name string) func(*holdAnswer) string {
	return func(a *holdAnswer) string { return a.granted(a.Elected, "elected", name) }
}

func renewalCheck(name, key string) func(*holdAnswer) string {
	return func(a *holdAnswer) string {
		if a.Locked != nil && *a.Locked && a.Key != key {
			return "it is about another hold"
		}
		if a.Locked == nil {
			return "it does not say whether locked"
		}
		return a.about(name)
	}
}

func transferCheck(name string) func(*holdAnswer) string {
	return func(a *holdAnswer) string {
		if a.Key == "" || a.Token == nil {
			return "it has no key and fencing token"
		}
		return a.about(name)
	}
}

func releaseCheck(name string) func(*holdAnswer) string {
	return func(a *holdAnswer) string {
		if a.Unlocked == nil {
			return "it does not say whether unlocked"
		}
		return a.about(name)
	}
}

// listing is the one of a lock.
type listing struct {
	Locks []struct {
		Name        string          `json:"name"`
		Size        uint64          `json:"size"`
		Mode        string          `json:"mode"`
		QueueLength int             `json:"queue_length"`
		Frozen      json.RawMessage `json:"frozen"`
		DelayedFor  float64         `json:"delayed_for_seconds"`
		Holders     []struct {
			Token     uint64            `json:"fencing_token"`
			Dialect   string            `json:"dialect"`
			HeldFor   float64           `json:"held_for_seconds"`
			Remaining *float64          `json:"remaining_seconds"`
			Owner     *string           `json:"owner"`
			Metadata  map[string]string `json:"metadata"`
		} `json:"holders"`
	} `json:"locks"`
}

func listingCheck(name string) func(*listing) string {
	return func(l *listing) string {
		if l.Locks == nil || len(l.Locks) > 1 {
			return "it is no list of " + strconv.Quote(name) + " alone"
		}
		if len(l.Locks) == 1 && l.Locks[0].Name != name {
			return fmt.Sprintf("it is about %q, not %q", l.Locks[0].Name, name)
		}
		return ""
	}
}

func (l *listing) info(name string) LockInfo {
	info := LockInfo{Name: name}
	if len(l.Locks) == 0 {
		return info
	}
	found := l.Locks[0]
	info.Size, info.Mode, info.QueueLength = found.Size, found.Mode, found.QueueLength
	info.Frozen, info.DelayedFor = freezeOf(found.Frozen), seconds(found.DelayedFor)
	for _, each := range found.Holders {
		holder := Holder{
			Token:     each.Token,
			Dialect:   each.Dialect,
			HeldFor:   seconds(each.HeldFor),
			Remaining: -1,
			Metadata:  each.Metadata,
		}
		if each.Remaining != nil {
			holder.Remaining = seconds(*each.Remaining)
		}
		if each.Owner != nil {
			holder.Owner = *each.Owner
		}
		// The wall clock, for messages only.
		holder.since = time.Now().Add(-holder.HeldFor)
		info.Holders = append(info.Holders, holder)
	}
	return info
}

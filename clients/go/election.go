package latchd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"
)

const electionLease = 10 * time.Second

// Leader is who leads an election.
type Leader struct {
	// Value is what the leader says about itself.
	Value string
	// Token is higher than that of every leader before.
	Token uint64
	until moment
}

// ReliableFor is for how long from now on nobody else is elected.
func (l Leader) ReliableFor() time.Duration { return l.until.left() }

// Leadership is the lead in an election, until this process resigns or the lead is lost. It is a [Hold]: Release resigns.
type Leadership struct {
	*Hold
	mu    sync.Mutex
	value string
}

// Elect campaigns in an election, and leads it from then on. The value is what [Client.Leader] tells everybody about this
// process. The rest is as of [Client.Lock]: an election is a lock of one name, with a lease of 10 seconds.
func (c *Client) Elect(ctx context.Context, name, value string, opts ...Option) (*Leadership, error) {
	w, err := newWanted(name, electionLease, opts)
	if err != nil {
		return nil, err
	}
	w.campaign, w.value = true, value
	if err := w.check(); err != nil {
		return nil, err
	}
	hold, err := c.take(ctx, w, true)
	if err != nil {
		return nil, err
	}
	return &Leadership{Hold: hold, value: value}, nil
}

// Lead campaigns as [Client.Elect] does, runs work, and resigns. The context of work ends with ctx, and with the lead if
// that is lost. Its errors are those of [Client.Do].
func (c *Client) Lead(
	ctx context.Context, name, value string, opts Options, work func(ctx context.Context, lead *Leadership) error,
) error {
	lead, err := c.Elect(ctx, name, value, opts...)
	if err != nil {
		return err
	}
	return lead.during(ctx, func(ctx context.Context) error { return work(ctx, lead) })
}

// Leader tells who leads an election; [ErrNoLeader] if nobody does. It needs no session, only the right to read.
func (c *Client) Leader(ctx context.Context, name string) (Leader, error) {
	ctx, done := c.until(ctx)
	defer done()
	var told leaderAnswer
	request := call{
		method: http.MethodGet, path: "/v1/elections", query: url.Values{"name": {name}},
		read: reading(&told, (*leaderAnswer).check),
	}
	got, err := c.transport.send(ctx, request, c.usual())
	if refused := (*RefusedError)(nil); errors.As(err, &refused) && refused.Code == "no-elected-leader" {
		return Leader{}, fmt.Errorf("%w: %q", ErrNoLeader, name)
	}
	if err != nil {
		return Leader{}, err
	}
	return Leader{Value: *told.Value, Token: *told.Token, until: got.sent.after(seconds(*told.ReliableFor))}, nil
}

type leaderAnswer struct {
	Value       *string  `json:"value"`
	Token       *uint64  `json:"fencing_token"`
	ReliableFor *float64 `json:"reliable_for_seconds"`
}

func (a *leaderAnswer) check() string {
	if a.Value == nil || a.Token == nil || a.ReliableFor == nil {
		return "it names no leader"
	}
	return ""
}

// Value is what the leader says about itself.
func (l *Leadership) Value() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.value
}

// SetValue says something else about the leader from now on; the token stays. The error is a [LockLostError] if the lead is
// lost.
func (l *Leadership) SetValue(ctx context.Context, value string) error {
	ctx, done := l.client.until(ctx)
	defer done()
	return l.change(func(hold granted) error {
		told := &holdAnswer{}
		request := call{
			method: http.MethodPut, path: "/v1/elections", query: url.Values{"name": {l.Name()}}, session: hold.session.id(),
			body: map[string]any{"key": hold.key(), "value": value}, read: reading(told, electedCheck(l.Name())),
		}
		_, err := l.client.transport.send(ctx, request, l.client.usual())
		if refused := (*RefusedError)(nil); errors.As(err, &refused) && refused.Status == 404 {
			if refused.Code == "no-such-lock" || refused.Code == "wrong-key" {
				refused.kind = holdGone
			}
		}
		if err != nil {
			return err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.value = value
		return nil
	})
}

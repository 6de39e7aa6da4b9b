package latchd

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// farewell is how long something is given back after nobody waits for it any more.
const farewell = 2 * time.Second

// use gives an owner a session to hold or to wait in, opened now if there is none; fresh: none that was open before.
func (c *Client) use(ctx context.Context, own *owner, p patience, fresh bool) (*session, error) {
	if found := c.sessions.take(own, fresh); found != nil {
		return found, nil
	}
	opened, err := c.openDetached(ctx, p)
	if err != nil {
		return nil, err
	}
	return c.sessions.give(own, opened), nil
}

// openDetached opens a session. If the caller gives up meanwhile, it is there for the next one.
func (c *Client) openDetached(ctx context.Context, p patience) (*session, error) {
	type result struct {
		session *session
		err     error
	}
	done := make(chan result)
	started := c.background(func() {
		late, cancel := lingering(ctx, farewell)
		defer cancel()
		opened, err := c.open(late, p)
		select {
		case done <- result{opened, err}:
		case <-ctx.Done():
			if err == nil {
				c.sessions.put(opened)
			}
		}
	})
	if !started {
		return nil, ErrClosed
	}
	select {
	case got := <-done:
		return got.session, got.err
	case <-ctx.Done():
		return nil, ended(ctx)
	}
}

func (c *Client) open(ctx context.Context, p patience) (*session, error) {
	var told sessionAnswer
	request := call{
		method: http.MethodPost, path: "/session", key: newKey(),
		read: reading(&told, (*sessionAnswer).check),
	}
	got, err := c.transport.send(ctx, request, p)
	if err != nil {
		return nil, err
	}
	opened := &session{id: hidden(told.ID), idle: told.idle(got.header)}
	if !c.keep(opened) {
		_ = c.delete(ctx, opened)
		return nil, ErrClosed
	}
	return opened, nil
}

// keep adds a session unless the client is closed.
func (c *Client) keep(opened *session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.sessions.add(opened)
	}
	return !c.closed
}

// delete ends a session in the service.
func (c *Client) delete(ctx context.Context, gone *session) error {
	_, err := c.transport.send(ctx, call{method: http.MethodDelete, path: "/session", session: gone.id()}, c.usual())
	if errors.Is(err, ErrRefused) {
		return nil // It has ended by itself, or an answer was lost.
	}
	return err
}

// end is for a session that is no more: its holds are lost before another one is opened.
func (c *Client) end(gone *session, why string) {
	c.sessions.end(gone)
	for _, each := range c.heldIn(gone) {
		each.lose(why)
	}
}

// abandon ends a use of a session in which a request may have left a hold or a place in a queue. again sends that request
// once more, and releases what it gets.
func (c *Client) abandon(used *session, again func(context.Context)) {
	alone := c.sessions.endAlone(used)
	c.background(func() {
		ctx, cancel := context.WithTimeout(context.Background(), farewell)
		defer cancel()
		if alone {
			_ = c.delete(ctx, used)
		} else if again != nil {
			again(ctx)
		}
	})
}

// SessionID opens a session, to which [Hold.Transfer] in another client gives a hold; [Client.Adopt] goes on with it. It is
// a secret, and ends when it is not used for as long as sessions may be idle (10 minutes, unless the service is set
// otherwise).
func (c *Client) SessionID(ctx context.Context) (string, error) {
	ctx, done := c.until(ctx)
	defer done()
	opened, err := c.openDetached(ctx, c.usual())
	if err != nil {
		return "", err
	}
	c.sessions.reserve(opened)
	return opened.id(), nil
}

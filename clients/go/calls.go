package latchd

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
)

// look is show for a message.
func (c *Client) look(ctx context.Context, name string) (LockInfo, error) {
	return c.show(ctx, name, patience{until: now(), attempt: lookLimit, ends: now().after(lookLimit)})
}

func (c *Client) show(ctx context.Context, name string, p patience) (LockInfo, error) {
	var told listing
	// By `?name=`, because a path cannot carry every name: `.`, `..`, and on some proxies a slash.
	request := call{
		method: http.MethodGet, path: "/v1/locks", query: url.Values{"name": {name}},
		read: reading(&told, listingCheck(name)),
	}
	if _, err := c.transport.send(ctx, request, p); err != nil {
		return LockInfo{}, err
	}
	return told.info(name), nil
}

// refuseIgnoredMode gives back the first lock that is to be shared if the service, which is set to ignore what it does not
// know, gave it alone.
func (c *Client) refuseIgnoredMode(ctx context.Context, w *wanted, hold *granted) error {
	n := slices.IndexFunc(w.places, func(each place) bool { return each.mode == shared })
	if n < 0 || c.hasModes.Load() {
		return nil
	}
	found, err := c.look(ctx, w.places[n].name)
	// A credential without the right to read does not see it, nor whether it is held.
	if err != nil || len(found.Holders) == 0 {
		return nil
	}
	if found.Mode != "" && found.Mode != exclusive {
		c.hasModes.Store(true)
		return nil
	}
	if !slices.ContainsFunc(found.Holders, func(holder Holder) bool { return holder.Token == hold.token }) {
		return nil
	}
	c.abandon(hold.session, func(ctx context.Context) { _, _, _ = c.unlock(ctx, hold, c.usual()) })
	return &RefusedError{Message: w.shown() + ": it is not shared: " + olderService, Status: 200}
}

func (c *Client) renew(ctx context.Context, hold *granted, p patience) (holdAnswer, answer, error) {
	var told holdAnswer
	body := ofHold(hold.names)
	maps.Copy(body, map[string]any{"key": hold.key(), "lock_timeout_seconds": hold.lease.Seconds()})
	request := call{
		method: http.MethodPost, path: "/v1/renew", body: body, session: hold.session.id(),
		read: reading(&told, renewalCheck(hold.names[0], hold.key())),
	}
	got, err := c.transport.send(ctx, request, p)
	return told, got, err
}

func (c *Client) unlock(ctx context.Context, hold *granted, p patience) (holdAnswer, answer, error) {
	var told holdAnswer
	body := ofHold(hold.names)
	body["key"] = hold.key()
	request := call{
		method: http.MethodPost, path: "/v1/unlock", body: body, session: hold.session.id(),
		read: reading(&told, releaseCheck(hold.names[0])),
	}
	got, err := c.transport.send(ctx, request, p)
	return told, got, err
}

func (c *Client) usual() patience {
	return patience{until: now().after(c.patience), attempt: c.attempt, ends: never}
}

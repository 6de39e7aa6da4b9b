package latchd

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	cookieName = "ldlm-session"
	// Most bytes of the body of an answer. The largest is the listing of a lock with many holders.
	bodyMax     = 8 << 20
	problemType = "application/problem+json"
	// In the words of sessions v1, which has this shape of errors from gRPC.
	notFoundCode = "5"
)

var errNoAnswer = errors.New("no answer in time")

// attempt sends a call to one node.
func (t *transport) attempt(ctx context.Context, c call, base string, limit time.Duration) (answer, error) {
	where := base + c.path
	if limit <= 0 {
		return answer{}, &UnreachableError{Message: "no time was left to ask " + where, cutShort: true}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errNoAnswer)
	defer cancel()
	request, err := t.request(ctx, c, where)
	if err != nil {
		return answer{}, err
	}
	sent := now()
	response, err := t.http.Do(request)
	if err != nil {
		return answer{}, broken(ctx, where, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, bodyMax+1))
	if err != nil {
		return answer{}, broken(ctx, where, err)
	}
	if len(body) > bodyMax {
		return answer{}, &UnreachableError{Message: fmt.Sprintf("%s gave an answer of more than %d bytes", where, bodyMax)}
	}
	if fields := objectOf(body); response.StatusCode/100 != 2 || fields == nil {
		return answer{}, t.failure(where, response, body, fields)
	}
	if c.read != nil {
		if wrong := c.read(body); strings.Contains(wrong, olderService) {
			return answer{}, &RefusedError{Message: where + ": " + wrong, Status: response.StatusCode, kind: unaskedHold}
		} else if wrong != "" {
			// What else comes on this connection may be mixed up too.
			t.http.CloseIdleConnections()
			return answer{}, &UnreachableError{Message: where + " gave an answer to something else: " + printable(wrong)}
		}
	}
	return answer{sent: sent, header: response.Header}, nil
}

func (t *transport) request(ctx context.Context, c call, where string) (*http.Request, error) {
	var body io.Reader
	if c.body != nil {
		written, err := json.Marshal(c.body)
		if err != nil {
			return nil, fmt.Errorf("latchd: the request: %w", err)
		}
		body = bytes.NewReader(written)
	}
	if len(c.query) > 0 {
		where += "?" + c.query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, c.method, where, body)
	if err != nil {
		return nil, fmt.Errorf("latchd: the request: %w", err)
	}
	if t.headers != nil {
		t.headers(ctx, request.Header)
	}
	set := func(name, value string) {
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	set("Accept", "application/json")
	set("Authorization", t.authorization())
	set("Idempotency-Key", c.key)
	if c.session != "" {
		set("Cookie", cookieName+"="+c.session)
	}
	if c.body != nil {
		set("Content-Type", "application/json")
	}
	return request, nil
}

// broken is the error of an attempt without an answer.
func broken(ctx context.Context, where string, err error) error {
	if errors.Is(context.Cause(ctx), errNoAnswer) {
		return &UnreachableError{Message: where + " gave no answer in time", cutShort: true}
	}
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	failed := &UnreachableError{Message: fmt.Sprintf("%s cannot be reached: %v", where, err), cause: err}
	// Certificates do not change while one waits; other ends of TLS are those of any connection.
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		failed.final = true
		failed.Message += "; name the PEM file of its authority, or of the very certificate, by WithRootsFile"
	}
	return failed
}

// failure is the error that an answer tells.
func (t *transport) failure(where string, response *http.Response, body []byte, fields object) error {
	status := response.StatusCode
	said := sentence(fields, body)
	if status == http.StatusUnauthorized && len(bytes.TrimSpace(body)) == 0 {
		said = t.unauthorized()
	}
	message := fmt.Sprintf("%s answered %d: %s", where, status, said)
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		failed := &UnreachableError{Message: message, Code: fields.text("reason")}
		if failed.Code == "" {
			failed.Code = fields.text("code")
		}
		if after, err := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 32); err == nil {
			failed.RetryAfter = time.Duration(after) * time.Second
		}
		return failed
	case http.StatusBadRequest, http.StatusNotFound:
		if olderWords.MatchString(said) {
			return &RefusedError{Message: message + "; " + olderService, Status: status}
		}
	}
	refused := &RefusedError{Message: message, Status: status}
	if fields != nil {
		isProblem := strings.HasPrefix(response.Header.Get("Content-Type"), problemType)
		refused.classify(fields, isProblem && strings.HasPrefix(fields.text("type"), "/docs/errors#"))
	}
	return refused
}

// classify finds what this client handles itself. A proxy may have pages of its own with the same status.
func (e *RefusedError) classify(fields object, isProblem bool) {
	code := string(fields["code"])
	if isProblem {
		e.Code = fields.text("code")
	}
	_, hasMessage := fields["message"]
	_, failed := strconv.ParseInt(code, 10, 64)
	isGateway := failed == nil && hasMessage
	if isGateway {
		e.Code = fields.text("reason") // Empty from older services.
	}
	switch {
	case e.Status == 401 && strings.HasPrefix(fields.text("error"), "session "), e.Code == "session-unknown":
		e.kind = sessionEnded
	case e.Status == 410 && (isGateway || e.Code == "request-ended"):
		e.kind = holdEnded
	case e.Status == 404 && isGateway && code == notFoundCode:
		e.kind = holdGone
	}
}

// unauthorized is what the service says to a wrong credential, or to none, where it has words for it.
func (t *transport) unauthorized() string {
	if t.authorization() == "" {
		return "a password or an API key is needed"
	}
	return "this password or API key is not known"
}

// olderService is what is wrong with a service that does not know what was asked of it.
const olderService = "the service is older than what is asked of it"

var olderWords = regexp.MustCompile(`the field "(names|mode|weight|lock_delay_seconds)" is not known` +
	`|there is nothing at \S*/v1/(upgrade|downgrade|transfer|elections)`)

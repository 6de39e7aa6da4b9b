package latchd

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// What answers mean, without a server.

func TestAnswerToAnotherRequestIsRefused(t *testing.T) {
	t.Parallel()
	for name, each := range map[string]struct {
		read  func([]byte) string
		right string
		wrong []string
	}{
		"session": {reading(new(sessionAnswer), (*sessionAnswer).check), `{"session_id": "0a"}`,
			[]string{`{}`, `{"session_id": ""}`, `{"session_id": 5}`, `[]`}},
		"lock": {reading(new(holdAnswer), lockCheck([]string{"a"})), `{"locked": true, "name": "a", "key": "k", "fencing_token": 7}`,
			[]string{
				`{"locked": true, "name": "b", "key": "k", "fencing_token": 7}`, `{"locked": true, "name": "a", "key": "", "fencing_token": 7}`,
				`{"locked": true, "name": "a", "key": "k"}`, `{"locked": true, "name": "a", "key": "k", "fencing_token": "7"}`,
				`{"locked": true, "name": "a", "key": "k", "fencing_token": -7}`, `{"locked": true, "name": "a", "key": "k", "fencing_token": 7.5}`,
				`{"locked": false, "name": "b"}`, `{"locked": "no", "name": "a"}`, `{"name": "a"}`, `{}`,
			}},
		"names": {reading(new(holdAnswer), lockCheck([]string{"a", "b"})),
			`{"locked": true, "name": "a", "names": ["a", "b"], "key": "k", "fencing_token": 7}`,
			[]string{
				`{"locked": true, "name": "a", "key": "k", "fencing_token": 7}`,
				`{"locked": true, "name": "a", "names": ["a"], "key": "k", "fencing_token": 7}`,
				`{"locked": true, "name": "a", "names": ["a", "c"], "key": "k", "fencing_token": 7}`, `{"locked": false, "name": "b"}`,
			}},
		"campaign": {reading(new(holdAnswer), electedCheck("a")), `{"elected": false, "name": "a"}`,
			[]string{`{"elected": true, "name": "a"}`, `{"locked": true, "name": "a", "key": "k", "fencing_token": 7}`}},
		"transfer": {reading(new(holdAnswer), transferCheck("a")), `{"name": "a", "key": "k", "fencing_token": 7}`,
			[]string{`{"name": "b", "key": "k", "fencing_token": 7}`, `{"name": "a", "key": "k"}`, `{"name": "a"}`}},
		"renewal": {reading(new(holdAnswer), renewalCheck("a", "k")), `{"locked": true, "name": "a", "key": "k"}`,
			[]string{`{"locked": true, "name": "a", "key": "l"}`, `{"locked": false, "name": "b"}`, `{"name": "a", "key": "k"}`}},
		"release": {reading(new(holdAnswer), releaseCheck("a")), `{"unlocked": true, "name": "a"}`,
			[]string{`{"unlocked": true, "name": "b"}`, `{"name": "a"}`}},
		"listing": {reading(new(listing), listingCheck("a")), `{"locks": [{"name": "a"}]}`,
			[]string{`{}`, `{"locks": {}}`, `{"locks": [{"name": "b"}]}`, `{"locks": [{"name": "a"}, {"name": "b"}]}`, `{"locks": [1]}`}},
		"leader": {reading(new(leaderAnswer), (*leaderAnswer).check), `{"value": "v", "fencing_token": 7, "reliable_for_seconds": 1}`,
			[]string{`{"value": 7, "fencing_token": 7, "reliable_for_seconds": 1}`, `{"value": "v", "reliable_for_seconds": 1}`,
				`{"value": "v", "fencing_token": true, "reliable_for_seconds": 1}`, `{"value": "v", "fencing_token": 7}`}},
	} {
		check(t, each.read([]byte(each.right)) == "", "%s: %s", name, each.read([]byte(each.right)))
		for _, wrong := range each.wrong {
			check(t, each.read([]byte(wrong)) != "", "%s takes %s", name, wrong)
		}
	}
}

func TestSessionLivesAsLongAsAnswerOrCookieSays(t *testing.T) {
	t.Parallel()
	told := 7.5
	for _, each := range []struct {
		cookie string
		told   *float64
		want   time.Duration
	}{
		{"ldlm-session=0a; Path=/; Max-Age=9", &told, 7500 * time.Millisecond},
		{"ldlm-session=0a; Path=/; Max-Age=9; Expires=Sat, 21 Nov 2026 01:48:39 GMT", nil, 9 * time.Second},
		{"ldlm-session=0a; Path=/; HttpOnly; Expires=Sat, 21 Nov 2026 01:48:39 GMT", nil, 7 * time.Minute},
		{"ldlm-session=0a; Expires=Sat, 21 Nov 2026 01:00:00 GMT", nil, 10 * time.Minute},
		{"ldlm-session=0a; Path=/", nil, 10 * time.Minute},
		{"", nil, 10 * time.Minute},
	} {
		header := http.Header{"Date": {"Sat, 21 Nov 2026 01:41:39 GMT"}, "Set-Cookie": {each.cookie}}
		got := (&sessionAnswer{ID: "0a", Idle: each.told}).idle(header)
		check(t, got == each.want, "%q: %v", each.cookie, got)
	}
}

func TestLeaseCountsFromRequestUpToWhatTheServiceSays(t *testing.T) {
	t.Parallel()
	for told, want := range map[float64]time.Duration{30: 130, 12.5: 112, 31: 130, 1e300: 130, -1: 100} {
		got := time.Duration(leaseEnd(&told, 30*time.Second, moment(100*time.Second)))
		check(t, got.Truncate(time.Second) == want*time.Second, "%v: %v", told, got)
	}
	check(t, leaseEnd(nil, 30*time.Second, 0) == moment(30*time.Second), "without a word of the service")
	check(t, leaseEnd(nil, 1<<62, never-1) == never, "beyond the end of time")
}

func TestSentenceIsFoundInEveryShapeOfErrorBody(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"title": "t", "detail": "no quorum"}`:       "no quorum",
		`{"code": 14, "message": "no quorum"}`:        "no quorum",
		`{"error": "session not found"}`:              "session not found",
		`{"error": {"a": 1}, "message": "\u001b[2J"}`: `\x1b[2J`,
		"<html>\n": "<html>",
		"":         "no reason given",
	} {
		got := sentence(objectOf([]byte(body)), []byte(body))
		check(t, got == want, "%q: %q", body, got)
	}
}

func TestHolderIsNamedWithoutControlCharacters(t *testing.T) {
	t.Parallel()
	shown := func(metadata map[string]string, owner string) string {
		return Holder{Token: 7, Owner: owner, Metadata: metadata, since: time.Now()}.String()
	}
	check(t, strings.HasPrefix(shown(map[string]string{"user": "ada", "host": "web-1", "pid": "12"}, ""), "ada@web-1 pid 12 since 20"), "who")
	check(t, strings.HasPrefix(shown(nil, "scheduler"), "scheduler since "), "owner")
	check(t, strings.HasPrefix(shown(nil, ""), "somebody since "), "nobody")
	check(t, strings.Contains(shown(map[string]string{"job": "n", "a": "b"}, ""), "(token 7, a=b, job=n)"), "the rest")
	check(t, strings.Contains(shown(map[string]string{"host": "\x1b[2J\u202e"}, ""), `\x1b[2J\u202e`), "control characters")
}

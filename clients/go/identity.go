package latchd

import (
	"encoding/json"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const (
	// The defaults of the service's limits.
	metadataMax      = 32
	metadataBytesMax = 256
)

// identity is host, process and user, as metadata.
var identity = sync.OnceValue(func() map[string]string {
	found := map[string]string{"pid": strconv.Itoa(os.Getpid())}
	if host, err := os.Hostname(); err == nil {
		found["host"] = short(host)
	}
	if who, err := user.Current(); err == nil {
		found["user"] = short(who.Username)
	} else if id := os.Getuid(); id >= 0 {
		found["user"] = "uid " + strconv.Itoa(id)
	}
	return found
})

func short(text string) string {
	return strings.ToValidUTF8(text[:min(metadataBytesMax, len(text))], "")
}

// described is the metadata of one lock: what the caller gave, then that of its client, or what fits of the usual.
func described(usual, given map[string]string) map[string]string {
	metadata := map[string]string{}
	for key, value := range given {
		metadata[key] = value
	}
	isOwn := usual != nil
	if !isOwn {
		usual = identity()
	}
	for key, value := range usual {
		if _, has := metadata[key]; !has && value != "" && (isOwn || len(metadata) < metadataMax) {
			metadata[key] = value
		}
	}
	return metadata
}

// enclosingNames is the locks of the `latchd lock` that this program runs under; empty without one.
func enclosingNames() []string {
	var names []string
	// Older versions of `latchd lock` name only one.
	if json.Unmarshal([]byte(os.Getenv("LATCHD_LOCK_NAMES")), &names) == nil {
		return names
	}
	if first, has := os.LookupEnv("LATCHD_LOCK_NAME"); has {
		return []string{first}
	}
	return nil
}

// enclosingNote tells of a request for this lock that would wait for the end of this program.
func enclosingNote(found LockInfo, mode string) string {
	token, err := strconv.ParseUint(os.Getenv("LATCHD_FENCING_TOKEN"), 10, 64)
	if err != nil || !slices.Contains(enclosingNames(), found.Name) || (mode == shared && found.Mode == shared) {
		return ""
	}
	if !slices.ContainsFunc(found.Holders, func(holder Holder) bool { return holder.Token == token }) {
		return ""
	}
	return "held by the `latchd lock` that this program runs under: a deadlock with oneself"
}

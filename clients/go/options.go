package latchd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"time"
)

// ClientOption is a setting of a client.
type ClientOption func(*settings) error

type settings struct {
	authorization string
	tls           *tls.Config
	attempt       time.Duration
	patience      time.Duration
	metadata      map[string]string
	log           *slog.Logger
	headers       func(ctx context.Context, header http.Header)
}

// WithAPIKey sends an API key with every request.
func WithAPIKey(key string) ClientOption { return withCredential("Bearer " + key) }

// WithPassword sends a password with every request.
func WithPassword(password string) ClientOption {
	return withCredential("Basic " + base64.StdEncoding.EncodeToString([]byte("latchd:"+password)))
}

func withCredential(authorization string) ClientOption {
	return func(set *settings) error {
		if set.authorization != "" {
			return errors.New("latchd: give an API key or a password, and one of it")
		}
		set.authorization = authorization
		return nil
	}
}

// WithRoots trusts these certificate authorities, or very certificates, in place of those of the system.
func WithRoots(roots *x509.CertPool) ClientOption {
	return func(set *settings) error {
		set.tls.RootCAs = roots
		return nil
	}
}

// WithRootsFile trusts the certificate authorities, or very certificates, of a PEM file in place of those of the system.
func WithRootsFile(path string) ClientOption {
	return func(set *settings) error {
		pem, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("latchd: the certificates to trust: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return fmt.Errorf("latchd: %s has no certificate in PEM", path)
		}
		set.tls.RootCAs = roots
		return nil
	}
}

// WithClientCertificate shows a certificate to the service, or to a proxy before it.
func WithClientCertificate(certificate tls.Certificate) ClientOption {
	return func(set *settings) error {
		set.tls.Certificates = append(set.tls.Certificates, certificate)
		return nil
	}
}

// WithClientCertificateFiles is [WithClientCertificate] with PEM files of the certificate and of its key.
func WithClientCertificateFiles(certificate, key string) ClientOption {
	return func(set *settings) error {
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			return fmt.Errorf("latchd: the client certificate: %w", err)
		}
		return WithClientCertificate(pair)(set)
	}
}

// WithTimeout bounds one attempt of a request; 10 seconds unless it is given.
func WithTimeout(timeout time.Duration) ClientOption {
	return func(set *settings) error {
		set.attempt = timeout
		return positive("timeout", timeout)
	}
}

// WithPatience is how long a request is sent again while no node answers; 10 seconds unless it is given.
func WithPatience(patience time.Duration) ClientOption {
	return func(set *settings) error {
		set.patience = patience
		return positive("patience", patience)
	}
}

// WithMetadata shows this to whoever asks who holds a lock of this client: host, pid and user unless it is given.
func WithMetadata(metadata map[string]string) ClientOption {
	return func(set *settings) error {
		set.metadata = maps.Clone(metadata)
		if set.metadata == nil {
			set.metadata = map[string]string{}
		}
		return nil
	}
}

// WithLogger logs there what no caller is told: a lost lock, and one that could not be given back. It is [slog.Default]
// unless it is given.
func WithLogger(log *slog.Logger) ClientOption {
	return func(set *settings) error {
		set.log = log
		return nil
	}
}

// WithHeaders adds headers to each request that is sent for a caller, whose context it gets: such as the traceparent of its
// trace. What the client itself sends stays. Renewals are sent for nobody, and have an empty context.
func WithHeaders(add func(ctx context.Context, header http.Header)) ClientOption {
	return func(set *settings) error {
		set.headers = add
		return nil
	}
}

func positive(name string, duration time.Duration) error {
	if duration <= 0 {
		return fmt.Errorf("latchd: %s must be above 0, not %v", name, duration)
	}
	return nil
}

//go:build tools

// Package emulators names Google's own emulators that the tests build, at the versions of go.mod.
package emulators

import (
	_ "cloud.google.com/go/bigtable/cmd/emulator"
)

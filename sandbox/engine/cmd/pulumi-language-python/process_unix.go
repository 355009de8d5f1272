//go:build unix && !linux

package main

import "syscall"

// dieWithParent changes nothing here: a child notices the loss when its connection to the engine breaks.
func dieWithParent() *syscall.SysProcAttr {
	return nil
}

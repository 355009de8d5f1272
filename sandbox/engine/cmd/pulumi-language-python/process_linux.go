package main

import "syscall"

// dieWithParent has the kernel end a child when this process is killed and cannot do so itself.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
}

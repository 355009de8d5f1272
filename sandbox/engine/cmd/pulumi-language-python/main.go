// Command pulumi-language-python lets the Pulumi engine run Python programs, plugins and policy packs on a machine
// where the vendor's host of the same name cannot be downloaded. The engine starts it with its own address as the
// only argument, reads the port that it prints, and speaks the LanguageRuntime service to it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/logging"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	"github.com/pulumi/pulumi/sdk/v3/go/common/version"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
)

// An engine that was killed cannot tell its hosts to stop, so the host asks this often whether it still answers.
const engineCheckInterval = time.Second

func main() {
	tracing := flag.String("tracing", "", "where Python programs send their traces")
	printVersion := flag.Bool("version", false, "print the version of the Pulumi SDK that this host is built on")
	logging.InitLogging(false, 0, false)
	flag.Parse()
	if *printVersion {
		fmt.Println(version.Version)
		return
	}
	if err := serve(flag.Arg(0), *tracing); err != nil {
		fmt.Fprintf(os.Stderr, "pulumi-language-python: %v\n", err)
		os.Exit(1)
	}
}

// serve answers until the process is told to stop or the engine at engineAddress is gone. An empty address is
// allowed: the engine then introduces itself with a handshake.
func serve(engineAddress, tracing string) error {
	executable, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding the folder of this program: %w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if engineAddress != "" {
		if err := rpcutil.Healthcheck(ctx, engineAddress, engineCheckInterval, stop); err != nil {
			return fmt.Errorf("watching the engine at %s: %w", engineAddress, err)
		}
	}

	runtime := newHost(engineAddress, filepath.Join(filepath.Dir(executable), programRunner), tracing)
	cancel := make(chan bool)
	go func() {
		<-ctx.Done()
		runtime.stopAll()
		close(cancel)
	}()
	handle, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Cancel: cancel,
		Init: func(server *grpc.Server) error {
			pulumirpc.RegisterLanguageRuntimeServer(server, runtime)
			return nil
		},
	})
	if err != nil {
		return err
	}
	fmt.Println(handle.Port)
	return <-handle.Done
}

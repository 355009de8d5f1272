// A Pub/Sub server in memory: Google's own for tests, on a port of 127.0.0.1 that it prints.
package main

import (
	"fmt"

	"cloud.google.com/go/pubsub/v2/pstest"
)

func main() {
	fmt.Println(pstest.NewServer().Addr)
	select {}
}

// The conformance driver of the Go client: tests/conformance/README.md says what it speaks.
package main

import (
	"bufio"
	"encoding/json"
	"log"
	"os"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type reply struct {
	OK    any      `json:"ok,omitempty"`
	Error *failure `json:"error,omitempty"`
}

type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func main() {
	// A Decoder, as lines can be longer than a Scanner takes.
	requests := json.NewDecoder(bufio.NewReader(os.Stdin))
	requests.UseNumber() // an int64 of the metadata does not fit a float64
	replies := json.NewEncoder(os.Stdout)
	d := &driver{}
	defer d.close()
	for requests.More() {
		var r request
		if err := requests.Decode(&r); err != nil {
			log.Fatalf("a request cannot be read: %v", err)
		}
		if err := replies.Encode(answer(d.do(&r))); err != nil {
			log.Fatalf("a reply cannot be written: %v", err)
		}
	}
}

func answer(ok any, err error) reply {
	if err == nil {
		return reply{OK: ok}
	}
	// gRPC's codes are those of google.rpc, whose names are the ones wanted.
	name := code.Code(status.Code(err)).String()
	return reply{Error: &failure{Code: name, Message: status.Convert(err).Message()}}
}

func invalid(format string, values ...any) error {
	return status.Errorf(codes.InvalidArgument, format, values...)
}

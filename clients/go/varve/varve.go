// Package varve has what every program needs beside the stubs of varve.dev/go/varve/v1: a connection with
// the right settings, and float32 values as a tensor.
package varve

import (
	"context"
	"encoding/binary"
	"math"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	v1 "varve.dev/go/varve/v1"
)

// maxReceiveBytes is what one answer of the server may have.
const maxReceiveBytes = 64 << 20

// Dial returns a connection to the server at `address` ("127.0.0.1:7780"). It connects when the first call
// needs it and, after a break, again by itself; Close it when done. Without grpc.WithTransportCredentials
// among the options it is not encrypted.
//
// An error is an address that cannot be understood. That no server is there is told by the calls.
func Dial(address string, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	defaults := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReceiveBytes)),
		// A peer that is gone without a word (a cut cable, a frozen process) is noticed within 30 seconds.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}),
		// A server that comes back is found soon: gRPC's own pauses grow to two minutes.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
		// http_proxy is meant for the web; a database is spoken to directly.
		grpc.WithNoProxy(),
	}
	return grpc.NewClient(address, append(defaults, options...)...)
}

// APIKey is an option of Dial: the key goes with every call, for servers that ask for one. On a connection
// that is not encrypted everybody on the way to the server can read it.
func APIKey(key string) grpc.DialOption {
	return grpc.WithPerRPCCredentials(apiKey{key})
}

type apiKey struct{ key string }

func (k apiKey) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + k.key}, nil
}

// RequireTransportSecurity is false for servers on loopback, or behind something that encrypts.
func (apiKey) RequireTransportSecurity() bool { return false }

// Floats packs float32 values, row by row, into a tensor of this shape: (rows, dimension) for a batch of
// vectors, (dimension) for one. The server refuses a shape that the values do not fill.
func Floats(values []float32, shape ...uint64) *v1.Tensor {
	data := make([]byte, 4*len(values))
	for i, value := range values {
		binary.LittleEndian.PutUint32(data[4*i:], math.Float32bits(value))
	}
	return &v1.Tensor{Dtype: v1.Dtype_DTYPE_F32, Shape: shape, Data: data}
}

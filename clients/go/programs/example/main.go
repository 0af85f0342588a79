// Streams vectors into a namespace and searches. Stopped in the midst and run again, it goes on where it was.
// Run a server first: varved. Usage: example [ADDRESS]
package main

import (
	"context"
	"fmt"
	"log"
	"math/rand"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"varve.dev/go/ingest"
	"varve.dev/go/varve"
	v1 "varve.dev/go/varve/v1"
)

const (
	namespace = "go-example"
	dimension = 64
	batches   = 50
	batchRows = 1000
)

func main() {
	address := "127.0.0.1:7780"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	if err := run(address); err != nil {
		log.Fatal(err)
	}
}

func run(address string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := varve.Dial(address)
	if err != nil {
		return err
	}
	defer conn.Close()

	_, err = v1.NewNamespaceServiceClient(conn).CreateNamespace(ctx, &v1.CreateNamespaceRequest{
		Namespace: &v1.Namespace{
			Name:   namespace,
			Fields: []*v1.VectorField{{Dimension: dimension, Metric: v1.Metric_METRIC_COSINE}},
		},
	})
	if err != nil && status.Code(err) != codes.AlreadyExists { // which it does in a second run
		return err
	}
	if err := write(ctx, conn); err != nil {
		return err
	}
	return search(ctx, conn)
}

// write streams all batches that the server does not have yet.
func write(ctx context.Context, conn *grpc.ClientConn) error {
	writer, err := ingest.Open(ctx, conn, ingest.Options{Namespace: namespace, Producer: "example-1"})
	if err != nil {
		return err
	}
	defer writer.Close()
	fmt.Println(writer.LastBatch(), "batches are there")
	for number := writer.LastBatch() + 1; number <= batches; number++ {
		if _, err := writer.Write(batch(number)); err != nil {
			return err
		}
	}
	return writer.Finish() // nil: every batch is committed, exactly once
}

// batch makes batch 1, 2, 3 ...: always the same records for the same number.
func batch(number uint64) *v1.RecordBatch {
	ids := make([]uint64, batchRows)
	for i := range ids {
		ids[i] = (number-1)*batchRows + uint64(i)
	}
	tensor := varve.Floats(vectors(number), batchRows, dimension)
	return &v1.RecordBatch{
		Ids:    &v1.Ids{Kind: &v1.Ids_Numbers{Numbers: &v1.NumberIds{Values: ids}}},
		Fields: []*v1.FieldVectors{{Vectors: &v1.FieldVectors_Dense{Dense: tensor}}},
	}
}

func vectors(number uint64) []float32 {
	random := rand.New(rand.NewSource(int64(number)))
	values := make([]float32, batchRows*dimension)
	for i := range values {
		values[i] = float32(random.NormFloat64())
	}
	return values
}

// search looks for the records nearest to the first one of batch 7.
func search(ctx context.Context, conn *grpc.ClientConn) error {
	found, err := v1.NewQueryServiceClient(conn).Search(ctx, &v1.SearchRequest{
		Namespace: namespace,
		Query:     varve.Floats(vectors(7)[:dimension], dimension),
		Options:   &v1.SearchOptions{K: 3},
	})
	if err != nil {
		return err
	}
	for _, hit := range found.Hits {
		fmt.Println(hit.Id.GetNumber(), hit.Distance)
	}
	return nil
}

package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"varve.dev/go/ingest"
	"varve.dev/go/varve"
	v1 "varve.dev/go/varve/v1"
)

const (
	callTimeout = time.Minute
	// A batch has so many rows, unless the request says otherwise or they are too wide for that.
	defaultBatchRows  = 1000
	defaultBatchBytes = 2 << 20
)

// request has what any operation takes.
type request struct {
	Op         string
	Address    string
	Name       string
	Dimension  uint32
	Metric     string
	ElemType   string `json:"element_type"`
	IDType     string `json:"id_type"`
	Namespace  string
	IDs        *ids
	Vectors    *tensor
	Metadata   []map[string]any
	Producer   string
	BatchRows  int `json:"batch_rows"`
	Durability string
	OnError    string `json:"on_error"`
	Repeat     *int
	Query      *tensor
	Queries    *tensor
	K          uint32
	Filter     string
	EfSearch   *uint32 `json:"ef_search"`
	Exact      bool

	IncludeVectors  bool `json:"include_vectors"`
	IncludeMetadata bool `json:"include_metadata"`
}

type empty struct{}

type ingested struct {
	RowsWritten uint64     `json:"rows_written"`
	RowErrors   []rowError `json:"row_errors"`
}

type rowError struct {
	Row     uint64 `json:"row"`
	Message string `json:"message"`
}

type foundBatch struct {
	Counts    []uint32  `json:"counts"`
	IDs       ids       `json:"ids"`
	Distances []float32 `json:"distances"`
}

type counted struct {
	Count uint64 `json:"count"`
}

// driver has the connection that the operations go through.
type driver struct {
	conn *grpc.ClientConn
}

func (d *driver) close() {
	if d.conn != nil {
		d.conn.Close()
	}
}

func (d *driver) do(r *request) (any, error) {
	if r.Op == "connect" {
		return d.connect(r)
	}
	if d.conn == nil {
		return nil, status.Errorf(codes.FailedPrecondition, "%s before connect", r.Op)
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	switch r.Op {
	case "create_namespace":
		return d.createNamespace(ctx, r)
	case "delete_namespace":
		_, err := v1.NewNamespaceServiceClient(d.conn).DeleteNamespace(ctx, &v1.DeleteNamespaceRequest{Name: r.Name})
		return empty{}, err
	case "ingest":
		once := 1
		r.Repeat = &once
		return d.ingest(r)
	case "ingest_many":
		return d.ingest(r)
	case "search":
		return d.search(ctx, r)
	case "search_batch":
		return d.searchBatch(ctx, r)
	case "count":
		response, err := v1.NewQueryServiceClient(d.conn).Count(ctx, &v1.CountRequest{Namespace: r.Namespace, Filter: filter(r)})
		return counted{response.GetCount()}, err
	}
	return nil, status.Errorf(codes.Unimplemented, "the driver has no operation %s", r.Op)
}

func (d *driver) connect(r *request) (any, error) {
	d.close()
	var err error
	d.conn, err = varve.Dial(r.Address)
	return empty{}, err
}

func (d *driver) createNamespace(ctx context.Context, r *request) (any, error) {
	metric, err := named("metric", metrics, r.Metric)
	if err != nil {
		return nil, err
	}
	elementType, err := named("element_type", dtypes, r.ElemType)
	if err != nil {
		return nil, err
	}
	idType, err := named("id_type", idTypes, r.IDType)
	if err != nil {
		return nil, err
	}
	_, err = v1.NewNamespaceServiceClient(d.conn).CreateNamespace(ctx, &v1.CreateNamespaceRequest{
		Namespace: &v1.Namespace{
			Name:   r.Name,
			Fields: []*v1.VectorField{{Dimension: r.Dimension, Metric: metric, ElementType: elementType}},
			IdType: idType,
		},
	})
	return empty{}, err
}

// ingest writes the records of all rounds through one writer, and leaves out the batches that the producer
// has committed before.
func (d *driver) ingest(r *request) (any, error) {
	cut, err := newCutter(r)
	if err != nil {
		return nil, err
	}
	result := &ingested{RowErrors: []rowError{}}
	options, err := ingestOptions(r)
	if err != nil {
		return nil, err
	}
	options.OnAck = func(ack *v1.IngestAck) { result.add(ack, cut) }
	writer, err := ingest.Open(context.Background(), d.conn, options)
	if err != nil {
		return nil, err
	}
	defer writer.Close()
	for number := writer.LastBatch() + 1; number <= cut.batches(); number++ {
		if _, err := writer.Write(cut.batch(number)); err != nil {
			return nil, err
		}
	}
	return result, writer.Finish()
}

func ingestOptions(r *request) (options ingest.Options, err error) {
	options.Namespace, options.Producer = r.Namespace, r.Producer
	if r.Producer == "" {
		var name [8]byte
		if _, err := rand.Read(name[:]); err != nil {
			return options, err
		}
		options.Producer = "driver-" + hex.EncodeToString(name[:])
	}
	if options.Durability, err = named("durability", durabilities, r.Durability); err != nil {
		return options, err
	}
	options.OnError, err = named("on_error", onErrors, r.OnError)
	return options, err
}

// add counts one batch. Of one whose acknowledgement was lost all that is known is that it is committed.
func (i *ingested) add(ack *v1.IngestAck, cut *cutter) {
	first, rows := cut.rows(ack.Number)
	if ack.Sequence == 0 {
		i.RowsWritten += uint64(rows)
		return
	}
	i.RowsWritten += ack.RecordsWritten
	for _, bad := range ack.RowErrors {
		i.RowErrors = append(i.RowErrors, rowError{Row: first + uint64(bad.Row), Message: bad.Message})
	}
}

func (d *driver) search(ctx context.Context, r *request) (any, error) {
	query, err := r.Query.toWire()
	if err != nil {
		return nil, err
	}
	options := searchOptions(r)
	options.IncludeVectors, options.IncludeMetadata = r.IncludeVectors, r.IncludeMetadata
	response, err := v1.NewQueryServiceClient(d.conn).Search(ctx, &v1.SearchRequest{
		Namespace: r.Namespace, Query: query, Options: options,
	})
	if err != nil {
		return nil, err
	}
	return found(r, response.Hits), nil
}

// found has vectors and metadata only if asked for.
func found(r *request, hits []*v1.Hit) map[string]any {
	var foundIDs ids
	distances := []float32{}
	vectors := []*tensor{}
	metadata := []map[string]any{}
	for _, hit := range hits {
		foundIDs.add(hit.Id)
		distances = append(distances, hit.Distance)
		if r.IncludeVectors {
			vectors = append(vectors, tensorFromWire(hit.Fields[0].GetDense()))
		}
		metadata = append(metadata, metadataFromWire(hit.Metadata))
	}
	result := map[string]any{"ids": foundIDs, "distances": distances}
	if r.IncludeVectors {
		result["vectors"] = vectors
	}
	if r.IncludeMetadata {
		result["metadata"] = metadata
	}
	return result
}

func (d *driver) searchBatch(ctx context.Context, r *request) (any, error) {
	queries, err := r.Queries.toWire()
	if err != nil {
		return nil, err
	}
	response, err := v1.NewQueryServiceClient(d.conn).SearchBatch(ctx, &v1.SearchBatchRequest{
		Namespace: r.Namespace, Queries: queries, Options: searchOptions(r),
	})
	if err != nil {
		return nil, err
	}
	return foundBatch{
		Counts:    append([]uint32{}, response.Counts...), // an empty list, and not null
		IDs:       idsFromWire(response.Ids),
		Distances: append([]float32{}, response.Distances...),
	}, nil
}

func searchOptions(r *request) *v1.SearchOptions {
	return &v1.SearchOptions{K: r.K, EfSearch: r.EfSearch, Exact: r.Exact, Filter: filter(r)}
}

func filter(r *request) *v1.Filter {
	if r.Filter == "" {
		return nil
	}
	return &v1.Filter{Kind: &v1.Filter_Text{Text: r.Filter}}
}

package main

import (
	v1 "varve.dev/go/varve/v1"
)

// cutter cuts the records of an ingest into batches, the same ones every time.
type cutter struct {
	numbers   []uint64
	texts     []string
	vectors   *v1.Tensor
	metadata  []*v1.Metadata
	repeat    int
	batchRows int
}

func newCutter(r *request) (*cutter, error) {
	if r.IDs == nil {
		return nil, invalid("the request has no ids")
	}
	numbers, err := r.IDs.numbers()
	if err != nil {
		return nil, err
	}
	vectors, err := r.Vectors.toWire()
	if err != nil {
		return nil, err
	}
	c := &cutter{numbers: numbers, texts: r.IDs.Texts, vectors: vectors, repeat: 1, batchRows: r.BatchRows}
	if r.Repeat != nil {
		c.repeat = *r.Repeat
	}
	for _, object := range r.Metadata {
		metadata, err := metadataToWire(object)
		if err != nil {
			return nil, err
		}
		c.metadata = append(c.metadata, metadata)
	}
	return c, c.check()
}

// check refuses what cannot be cut, and decides how many rows a batch has.
func (c *cutter) check() error {
	records := c.records()
	if shape := c.vectors.Shape; len(shape) != 2 || shape[0] != uint64(records) {
		return invalid("%d ids need vectors of shape [%d, dimension], found %v", records, records, shape)
	}
	if records > 0 && len(c.vectors.Data)%records != 0 {
		return invalid("%d bytes of vectors are not the same for each of %d ids", len(c.vectors.Data), records)
	}
	if len(c.metadata) != 0 && len(c.metadata) != records {
		return invalid("%d ids came with metadata of %d records", records, len(c.metadata))
	}
	if c.repeat > 1 && len(c.texts) > 0 {
		return invalid("ids must be numbers to be repeated %d times, found texts", c.repeat)
	}
	if c.batchRows <= 0 {
		c.batchRows = defaultBatchRows
		if fit := defaultBatchBytes / (c.rowBytes() + 1); fit < c.batchRows {
			c.batchRows = fit
		}
	}
	return nil
}

func (c *cutter) records() int { return len(c.numbers) + len(c.texts) }

func (c *cutter) rowBytes() int {
	if c.records() == 0 {
		return 0
	}
	return len(c.vectors.Data) / c.records()
}

// batchesPerRound: a batch never has records of two rounds.
func (c *cutter) batchesPerRound() uint64 {
	return uint64((c.records() + c.batchRows - 1) / c.batchRows)
}

func (c *cutter) batches() uint64 { return uint64(c.repeat) * c.batchesPerRound() }

// rows returns where a batch begins, counted over all rounds, and how many rows it has.
func (c *cutter) rows(number uint64) (first uint64, count int) {
	round, begin, end := c.span(number)
	return round*uint64(c.records()) + uint64(begin), end - begin
}

// span returns the round of a batch and its rows in that round.
func (c *cutter) span(number uint64) (round uint64, begin, end int) {
	round = (number - 1) / c.batchesPerRound()
	begin = int((number-1)%c.batchesPerRound()) * c.batchRows
	if end = begin + c.batchRows; end > c.records() {
		end = c.records()
	}
	return round, begin, end
}

func (c *cutter) batch(number uint64) *v1.RecordBatch {
	round, begin, end := c.span(number)
	batch := &v1.RecordBatch{
		Ids: c.ids(round, begin, end),
		Fields: []*v1.FieldVectors{{
			Vectors: &v1.FieldVectors_Dense{Dense: &v1.Tensor{
				Dtype: c.vectors.Dtype,
				Shape: []uint64{uint64(end - begin), c.vectors.Shape[1]},
				Data:  c.vectors.Data[begin*c.rowBytes() : end*c.rowBytes()],
			}},
		}},
	}
	if len(c.metadata) > 0 {
		batch.Metadata = c.metadata[begin:end]
	}
	return batch
}

func (c *cutter) ids(round uint64, begin, end int) *v1.Ids {
	if len(c.texts) > 0 {
		return &v1.Ids{Kind: &v1.Ids_Texts{Texts: &v1.TextIds{Values: c.texts[begin:end]}}}
	}
	values := make([]uint64, end-begin)
	for i := range values {
		values[i] = c.numbers[begin+i] + round*uint64(c.records())
	}
	return &v1.Ids{Kind: &v1.Ids_Numbers{Numbers: &v1.NumberIds{Values: values}}}
}

package ingest

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	v1 "varve.dev/go/varve/v1"
)

// run keeps a stream going, one after another, until the writer ends.
func (w *Writer) run() {
	defer close(w.ended)
	defer w.cancel()
	for w.readyForAnother(w.runStream()) {
	}
}

// runStream opens a stream and works it until it ends; returns why it ended, never nil.
func (w *Writer) runStream() error {
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	var late atomic.Bool
	attempt := time.AfterFunc(w.beginAttempt(), func() {
		late.Store(true)
		cancel()
	})
	defer attempt.Stop()

	stream, err := w.openStream(ctx)
	if err == nil {
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			w.send(ctx, cancel, stream)
		}()
		err = w.receive(stream, attempt)
		cancel()
		<-sent
	}
	if late.Load() {
		return status.Error(codes.Unavailable, "the server does not answer")
	}
	return err
}

func (w *Writer) beginAttempt() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.streamOpen = false
	w.sent = 0
	return w.retry.onAttempt(time.Now())
}

func (w *Writer) openStream(ctx context.Context) (v1.IngestService_IngestClient, error) {
	// The pauses between attempts are ours; gRPC's own grow to two minutes.
	w.conn.ResetConnectBackoff()
	stream, err := v1.NewIngestServiceClient(w.conn).Ingest(ctx)
	if err != nil {
		return nil, err
	}
	open := &v1.IngestOpen{
		Namespace:  w.options.Namespace,
		Producer:   w.options.Producer,
		Durability: w.options.Durability,
		OnError:    w.options.OnError,
	}
	// If it fails, receiving tells why.
	_ = stream.Send(&v1.IngestRequest{Message: &v1.IngestRequest_Open{Open: open}})
	return stream, nil
}

// send sends batches as they come, until the stream is over or all is said.
func (w *Writer) send(ctx context.Context, cancel func(), stream v1.IngestService_IngestClient) {
	for {
		request := w.nextToSend(ctx)
		if request == nil {
			break
		}
		if stream.Send(request) != nil {
			return // the stream is over: the receiver sees it too
		}
	}
	_ = stream.CloseSend()
	late := time.AfterFunc(closeTimeout, cancel)
	<-ctx.Done()
	late.Stop()
}

// nextToSend waits for a batch to send; nil: the stream is over, or everything is acknowledged.
func (w *Writer) nextToSend(ctx context.Context) *v1.IngestRequest {
	w.mu.Lock()
	defer w.mu.Unlock()
	finished := func() bool { return w.finishing && len(w.queue) == 0 }
	ready := w.await(ctx.Done(), func() bool {
		return w.streamOpen && (w.sent < len(w.queue) || finished())
	})
	if !ready || finished() {
		return nil
	}
	w.sent++
	return w.queue[w.sent-1].request
}

// receive takes answers until the stream ends; returns why it did.
func (w *Writer) receive(stream v1.IngestService_IngestClient, attempt *time.Timer) error {
	for {
		response, err := stream.Recv()
		if err == io.EOF {
			return status.Error(codes.Unavailable, "the server ended the stream")
		}
		if err != nil {
			return err
		}
		switch message := response.Message.(type) {
		case *v1.IngestResponse_Opened:
			attempt.Stop()
			err = w.onOpened(message.Opened)
		case *v1.IngestResponse_Ack:
			err = w.onAck(message.Ack)
		default:
			err = status.Error(codes.Unimplemented, "the server answers with what this client does not know")
		}
		if err != nil {
			return err
		}
	}
}

func (w *Writer) onOpened(opened *v1.IngestOpened) error {
	unheard, err := w.takePosition(opened)
	for _, number := range unheard {
		w.report(&v1.IngestAck{Number: number})
	}
	return err
}

// takePosition compares what the server has with what this writer knows. Returns the numbers of batches
// that were committed without our hearing of it.
func (w *Writer) takePosition(opened *v1.IngestOpened) (unheard []uint64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.retry.onConnected(time.Now())
	last := opened.LastBatch
	if w.limits == nil {
		w.lastBatch, w.committed, w.next = last, last, last+1
	}
	if last < w.committed {
		return nil, status.Errorf(codes.FailedPrecondition,
			"the server acknowledged batch %d of producer %s and now knows only %d: the namespace is not the one it was",
			w.committed, w.options.Producer, last)
	}
	if last >= w.next {
		return nil, status.Errorf(codes.FailedPrecondition,
			"batch %d of producer %s is committed, but this writer got to %d only: another one uses the name",
			last, w.options.Producer, w.next-1)
	}
	for len(w.queue) > 0 && w.queue[0].number <= last {
		unheard = append(unheard, w.queue[0].number)
		w.popFront()
	}
	if len(unheard) > 0 || len(w.queue) == 0 { // an idle writer has nothing to make progress with
		w.retry.onProgress()
	}
	w.limits = opened
	w.streamOpen = true
	w.signal()
	return unheard, nil
}

func (w *Writer) onAck(ack *v1.IngestAck) error {
	if err := w.takeAck(ack); err != nil {
		return err
	}
	w.report(ack)
	return nil
}

func (w *Writer) takeAck(ack *v1.IngestAck) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sent == 0 {
		return status.Errorf(codes.FailedPrecondition, "the server acknowledged batch %d where none was sent", ack.Number)
	}
	if wanted := w.queue[0].number; ack.Number != wanted {
		return status.Errorf(codes.FailedPrecondition, "the server acknowledged batch %d where %d was to come", ack.Number, wanted)
	}
	w.sent--
	w.popFront()
	w.retry.onProgress()
	w.signal()
	return nil
}

func (w *Writer) report(ack *v1.IngestAck) {
	if w.options.OnAck != nil {
		w.options.OnAck(ack)
	}
}

// readyForAnother waits, after a stream ended, until it is time for another; false: the writer ends.
func (w *Writer) readyForAnother(err error) bool {
	delay, again := w.afterFailure(err)
	if !again {
		return false
	}
	if w.options.OnDisconnect != nil {
		w.options.OnDisconnect(err)
	}
	select {
	case <-time.After(delay):
	case <-w.ctx.Done():
	}
	return true
}

// afterFailure returns how long to wait before the next stream; false: `end` says why there is none.
func (w *Writer) afterFailure(err error) (time.Duration, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	// A stream that ended after its last acknowledgement did all it was for, however it ended.
	if w.finishing && w.limits != nil && len(w.queue) == 0 {
		return 0, false
	}
	if why := w.ctx.Err(); why != nil {
		return 0, w.endWith(status.FromContextError(why).Code(), "ingest was cancelled: "+why.Error())
	}
	if !isTransient(err) {
		return 0, w.endWith(status.Code(err), status.Convert(err).Message())
	}
	if w.conn.GetState() == connectivity.Shutdown {
		return 0, w.endWith(codes.Canceled, "the connection was closed")
	}
	delay, again := w.retry.onFailure(time.Now())
	if !again {
		return 0, w.endWith(codes.Unavailable, "gave up after "+w.options.GiveUpAfter.String()+": "+status.Convert(err).Message())
	}
	return delay, true
}

// endWith sets the error that the writer ends with. Always false. Called with mu held.
func (w *Writer) endWith(code codes.Code, message string) bool {
	if w.limits == nil {
		w.end = status.Error(code, message)
	} else {
		w.end = status.Errorf(code, "ingest ended after batch %d: %s", w.committed, message)
	}
	return false
}

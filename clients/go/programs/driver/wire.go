package main

import (
	"encoding/json"
	"strconv"

	v1 "varve.dev/go/varve/v1"
)

var (
	metrics = map[string]v1.Metric{
		"": v1.Metric_METRIC_UNSPECIFIED, "l2": v1.Metric_METRIC_L2, "cosine": v1.Metric_METRIC_COSINE, "dot": v1.Metric_METRIC_DOT,
	}
	dtypes = map[string]v1.Dtype{
		"": v1.Dtype_DTYPE_UNSPECIFIED, "f32": v1.Dtype_DTYPE_F32, "f16": v1.Dtype_DTYPE_F16, "bf16": v1.Dtype_DTYPE_BF16,
		"u8": v1.Dtype_DTYPE_U8, "i8": v1.Dtype_DTYPE_I8,
	}
	idTypes = map[string]v1.IdType{
		"": v1.IdType_ID_TYPE_UNSPECIFIED, "number": v1.IdType_ID_TYPE_NUMBER, "text": v1.IdType_ID_TYPE_TEXT,
	}
	durabilities = map[string]v1.Durability{
		"": v1.Durability_DURABILITY_UNSPECIFIED, "applied": v1.Durability_DURABILITY_APPLIED, "synced": v1.Durability_DURABILITY_SYNCED,
	}
	onErrors = map[string]v1.OnError{
		"": v1.OnError_ON_ERROR_UNSPECIFIED, "fail": v1.OnError_ON_ERROR_FAIL_BATCH, "skip": v1.OnError_ON_ERROR_SKIP,
	}
)

// named looks a value up by its name; what is left out is the default.
func named[T any](what string, values map[string]T, name string) (T, error) {
	value, ok := values[name]
	if !ok {
		return value, invalid("%s %q is not known", what, name)
	}
	return value, nil
}

// --- Ids ---

type ids struct {
	Numbers []string `json:"numbers"`
	Texts   []string `json:"texts"`
}

// MarshalJSON writes an empty list as one of numbers.
func (i ids) MarshalJSON() ([]byte, error) {
	if i.Texts != nil {
		return json.Marshal(map[string][]string{"texts": i.Texts})
	}
	return json.Marshal(map[string][]string{"numbers": append([]string{}, i.Numbers...)})
}

func (i *ids) add(id *v1.Id) {
	if text, ok := id.Kind.(*v1.Id_Text); ok {
		i.Texts = append(i.Texts, text.Text)
	} else {
		i.Numbers = append(i.Numbers, strconv.FormatUint(id.GetNumber(), 10))
	}
}

func idsFromWire(in *v1.Ids) ids {
	out := ids{Texts: in.GetTexts().GetValues()}
	for _, number := range in.GetNumbers().GetValues() {
		out.Numbers = append(out.Numbers, strconv.FormatUint(number, 10))
	}
	return out
}

func (i *ids) numbers() ([]uint64, error) {
	numbers := make([]uint64, len(i.Numbers))
	for at, text := range i.Numbers {
		number, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, invalid("id %q at position %d is not an unsigned 64-bit number", text, at)
		}
		numbers[at] = number
	}
	return numbers, nil
}

// --- Tensors ---

type tensor struct {
	Dtype string   `json:"dtype"`
	Shape []uint64 `json:"shape"`
	Data  []byte   `json:"data"` // as base64 in JSON
}

func (t *tensor) toWire() (*v1.Tensor, error) {
	if t == nil {
		return nil, invalid("the request has no tensor")
	}
	dtype, err := named("dtype", dtypes, t.Dtype)
	if err != nil {
		return nil, err
	}
	return &v1.Tensor{Dtype: dtype, Shape: t.Shape, Data: t.Data}, nil
}

func tensorFromWire(in *v1.Tensor) *tensor {
	out := &tensor{Shape: in.GetShape(), Data: in.GetData()}
	for name, dtype := range dtypes {
		if dtype == in.GetDtype() {
			out.Dtype = name
		}
	}
	return out
}

// --- Metadata ---

func metadataToWire(object map[string]any) (*v1.Metadata, error) {
	attributes := make(map[string]*v1.Value, len(object))
	for name, value := range object {
		wire, err := valueToWire(value)
		if err != nil {
			return nil, err
		}
		attributes[name] = wire
	}
	return &v1.Metadata{Attributes: attributes}, nil
}

func valueToWire(value any) (*v1.Value, error) {
	switch value := value.(type) {
	case nil:
		return &v1.Value{Kind: &v1.Value_NullValue{}}, nil
	case string:
		return &v1.Value{Kind: &v1.Value_StringValue{StringValue: value}}, nil
	case bool:
		return &v1.Value{Kind: &v1.Value_BoolValue{BoolValue: value}}, nil
	case json.Number:
		return numberToWire(value)
	case []any:
		list, err := listToWire(value)
		return &v1.Value{Kind: &v1.Value_ListValue{ListValue: list}}, err
	case map[string]any:
		object, err := metadataToWire(value)
		return &v1.Value{Kind: &v1.Value_ObjectValue{ObjectValue: object}}, err
	}
	return nil, invalid("metadata cannot have a %T", value)
}

func numberToWire(number json.Number) (*v1.Value, error) {
	if whole, err := number.Int64(); err == nil {
		return &v1.Value{Kind: &v1.Value_Int64Value{Int64Value: whole}}, nil
	}
	fraction, err := number.Float64()
	if err != nil {
		return nil, invalid("the number %s of the metadata is too large", number)
	}
	return &v1.Value{Kind: &v1.Value_DoubleValue{DoubleValue: fraction}}, nil
}

func listToWire(values []any) (*v1.ListValue, error) {
	list := &v1.ListValue{}
	for _, value := range values {
		wire, err := valueToWire(value)
		if err != nil {
			return nil, err
		}
		list.Values = append(list.Values, wire)
	}
	return list, nil
}

func metadataFromWire(in *v1.Metadata) map[string]any {
	out := make(map[string]any, len(in.GetAttributes()))
	for name, value := range in.GetAttributes() {
		out[name] = valueFromWire(value)
	}
	return out
}

func valueFromWire(in *v1.Value) any {
	switch kind := in.GetKind().(type) {
	case *v1.Value_StringValue:
		return kind.StringValue
	case *v1.Value_Int64Value:
		return kind.Int64Value
	case *v1.Value_DoubleValue:
		return kind.DoubleValue
	case *v1.Value_BoolValue:
		return kind.BoolValue
	case *v1.Value_ListValue:
		list := make([]any, len(kind.ListValue.GetValues()))
		for i, value := range kind.ListValue.GetValues() {
			list[i] = valueFromWire(value)
		}
		return list
	case *v1.Value_ObjectValue:
		return metadataFromWire(kind.ObjectValue)
	}
	return nil
}

//! Between values of Python and JSON, as the module `json` does it.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use serde_json::{Map, Number, Value};

/// As deep as `json.dumps` of a nested value goes before it raises; entries allow less.
const MAX_DEPTH: usize = 512;

/// The JSON value of `value`.
///
/// Raises what `json.dumps` raises, and `ValueError` for what JSON does not have (`NaN`, infinities, lone surrogates) and
/// for integers of more than 64 bits.
pub(crate) fn from_python(value: &Bound<'_, PyAny>) -> PyResult<Value> {
    value_of(value, 0)
}

/// The JSON object of a dictionary.
pub(crate) fn object(dict: &Bound<'_, PyDict>) -> PyResult<Map<String, Value>> {
    object_of(dict, 0)
}

fn object_of(dict: &Bound<'_, PyDict>, depth: usize) -> PyResult<Map<String, Value>> {
    let mut object = Map::with_capacity(dict.len());
    for (key, value) in dict {
        object.insert(key_of(&key)?, value_of(&value, depth + 1)?);
    }
    Ok(object)
}

fn value_of(value: &Bound<'_, PyAny>, depth: usize) -> PyResult<Value> {
    if depth > MAX_DEPTH {
        return Err(PyValueError::new_err("a value is nested too deeply, or contains itself"));
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Value::String(text.to_str()?.to_owned()));
    }
    if value.is_none() {
        return Ok(Value::Null);
    }
    if let Ok(flag) = value.cast::<PyBool>() {
        return Ok(Value::Bool(flag.is_true()));
    }
    if let Ok(integer) = value.cast::<PyInt>() {
        return Ok(Value::Number(integer_of(integer)?));
    }
    if let Ok(float) = value.cast::<PyFloat>() {
        let float = float.value();
        let number = Number::from_f64(float);
        return number.map(Value::Number).ok_or_else(|| {
            PyValueError::new_err(format!("{float} cannot be stored: JSON has no such number"))
        });
    }
    if let Ok(dict) = value.cast::<PyDict>() {
        return Ok(Value::Object(object_of(dict, depth)?));
    }
    if let Ok(list) = value.cast::<PyList>() {
        return list.iter().map(|item| value_of(&item, depth + 1)).collect();
    }
    if let Ok(tuple) = value.cast::<PyTuple>() {
        return tuple.iter().map(|item| value_of(&item, depth + 1)).collect();
    }
    let name = value.get_type().name()?;
    Err(PyTypeError::new_err(format!("Object of type {name} is not JSON serializable")))
}

fn integer_of(integer: &Bound<'_, PyInt>) -> PyResult<Number> {
    if let Ok(number) = integer.extract::<i64>() {
        return Ok(number.into());
    }
    let number = integer.extract::<u64>();
    number.map(Into::into).map_err(|_| {
        PyValueError::new_err("an integer of more than 64 bits cannot be stored; store it as text")
    })
}

/// As `json.dumps` writes a key that is no text.
fn key_of(key: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(text) = key.cast::<PyString>() {
        return Ok(text.to_str()?.to_owned());
    }
    if key.is_none() {
        return Ok("null".to_owned());
    }
    if let Ok(flag) = key.cast::<PyBool>() {
        return Ok(flag.is_true().to_string());
    }
    if let Ok(integer) = key.cast::<PyInt>() {
        return Ok(integer_of(integer)?.to_string());
    }
    if key.is_instance_of::<PyFloat>() {
        return Ok(key.repr()?.to_str()?.to_owned());
    }
    let name = key.get_type().name()?;
    let message = format!("keys must be str, int, float, bool or None, not {name}");
    Err(PyTypeError::new_err(message))
}

/// The value of Python that `json.loads` makes of `value`.
pub(crate) fn to_python(py: Python<'_>, value: &Value) -> PyResult<Py<PyAny>> {
    Ok(match value {
        Value::Null => py.None(),
        Value::Bool(flag) => PyBool::new(py, *flag).to_owned().into_any().unbind(),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => number.into_pyobject(py)?.into_any().unbind(),
            (_, Some(number)) => number.into_pyobject(py)?.into_any().unbind(),
            _ => PyFloat::new(py, number.as_f64().unwrap_or(f64::NAN)).into_any().unbind(),
        },
        Value::String(text) => PyString::new(py, text).into_any().unbind(),
        Value::Array(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(to_python(py, item)?)?;
            }
            list.into_any().unbind()
        }
        Value::Object(object) => dict(py, object)?.into_any().unbind(),
    })
}

/// The dictionary of a JSON object.
pub(crate) fn dict<'py>(
    py: Python<'py>,
    object: &Map<String, Value>,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (key, value) in object {
        dict.set_item(key, to_python(py, value)?)?;
    }
    Ok(dict)
}

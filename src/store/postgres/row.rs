use bytes::Bytes;

use super::failure::Failure;

/// A row that the server sent.
#[derive(Debug)]
pub(super) struct Row(pub(super) Vec<Value>);

/// A value in a row. A script's values are all text.
#[derive(Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
    Bytes(Bytes),
}

impl Row {
    pub(super) fn bool(&self, column: usize) -> Result<bool, Failure> {
        match self.0.get(column) {
            Some(Value::Bool(value)) => Ok(*value),
            Some(Value::Text(value)) => Ok(value == "t"),
            _ => Err(Failure::foreign()),
        }
    }

    pub(super) fn int(&self, column: usize) -> Result<i64, Failure> {
        match self.0.get(column) {
            Some(Value::Int(value)) => Ok(*value),
            _ => Err(Failure::foreign()),
        }
    }

    /// Reads an integer that cannot be negative.
    pub(super) fn count<T: TryFrom<i64>>(&self, column: usize) -> Result<T, Failure> {
        T::try_from(self.int(column)?).map_err(|_| Failure::foreign())
    }

    pub(super) fn text(&self, column: usize) -> Result<&str, Failure> {
        match self.0.get(column) {
            Some(Value::Text(value)) => Ok(value),
            _ => Err(Failure::foreign()),
        }
    }

    pub(super) fn bytes_or_null(&self, column: usize) -> Result<Option<Bytes>, Failure> {
        match self.0.get(column) {
            Some(Value::Bytes(value)) => Ok(Some(value.clone())),
            Some(Value::Null) => Ok(None),
            _ => Err(Failure::foreign()),
        }
    }

    pub(super) fn bytes(&self, column: usize) -> Result<Bytes, Failure> {
        match self.0.get(column) {
            Some(Value::Bytes(value)) => Ok(value.clone()),
            _ => Err(Failure::foreign()),
        }
    }
}

use std::io;

use crate::task::JoinHandle;

/// The one runtime there is.
#[derive(Clone, Copy, Debug)]
pub struct Handle;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeFlavor {
    CurrentThread,
    MultiThread,
}

impl Handle {
    pub const fn try_current() -> io::Result<Self> {
        Ok(Self)
    }

    pub const fn current() -> Self {
        Self
    }

    pub const fn id(&self) -> Id {
        Id
    }

    pub const fn runtime_flavor(&self) -> RuntimeFlavor {
        RuntimeFlavor::CurrentThread
    }

    pub fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        crate::task::spawn(future)
    }
}

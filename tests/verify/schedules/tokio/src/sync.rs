mod notify;
mod semaphore;

pub use self::{
    notify::{Notified, Notify, OwnedNotified},
    semaphore::{OwnedSemaphorePermit, Semaphore, SemaphorePermit},
};

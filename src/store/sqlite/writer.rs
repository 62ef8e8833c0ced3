use std::sync::mpsc::{Receiver, RecvTimeoutError};

use rusqlite::Connection;

use super::{
    begin::begin,
    failure::Failure,
    gate::{self, Gate},
    queue::Queue,
    request::Request,
    sweep::Sweep,
    table::Table,
    task::Task,
};

/// What the writer is asked for.
pub(super) enum Order {
    Write(Box<dyn Task>),
    Transact(Box<Request>),
}

/// The thread that writes. All operations that came while it committed the last ones go into one
/// transaction, and so wait for the disk together.
pub(super) struct Writer {
    connection: Connection,
    queue: Queue,
    gate: Gate,
    max_bytes: Option<u64>,
    orders: Receiver<Order>,
    /// An order that was taken too early.
    ahead: Option<Order>,
    sweep: Sweep,
}

/// How many operations go into one transaction at most.
const AT_ONCE: usize = 256;

impl Writer {
    pub(super) fn new(
        (mut connection, queue): (Connection, Queue),
        max_bytes: Option<u64>,
        orders: Receiver<Order>,
    ) -> Self {
        let gate = Gate::install(&mut connection);
        let sweep = Sweep::new(&connection);
        Self {
            connection,
            queue,
            gate,
            max_bytes,
            orders,
            ahead: None,
            sweep,
        }
    }

    /// Carries out orders until nobody is left who could give any.
    pub(super) fn run(mut self) {
        while let Some(order) = self.next() {
            match order {
                Order::Write(first) => {
                    let tasks = self.gather(first);
                    self.write(tasks);
                }
                Order::Transact(request) => {
                    let table = Table {
                        connection: &self.connection,
                        max_bytes: self.max_bytes,
                    };
                    request.serve(&self.gate, &mut self.queue, table, || {
                        is_wanted(&self.orders, &mut self.ahead)
                    });
                    gate::roll_back(&self.connection);
                }
            }
            // Whoever is never idle has to clear up all the same.
            if self.sweep.due_in().is_zero() {
                self.sweep.step(&self.connection, &mut self.queue);
            }
        }
    }

    fn next(&mut self) -> Option<Order> {
        if let Some(order) = self.ahead.take() {
            return Some(order);
        }
        loop {
            match self.orders.recv_timeout(self.sweep.due_in()) {
                Ok(order) => return Some(order),
                Err(RecvTimeoutError::Timeout) => {
                    self.sweep.step(&self.connection, &mut self.queue);
                }
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    fn gather(&mut self, first: Box<dyn Task>) -> Vec<Box<dyn Task>> {
        let mut tasks = vec![first];
        while tasks.len() < AT_ONCE {
            match self.orders.try_recv() {
                Ok(Order::Write(task)) => tasks.push(task),
                Ok(other) => {
                    self.ahead = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        tasks
    }

    fn write(&mut self, mut tasks: Vec<Box<dyn Task>>) {
        tasks.retain(|task| !task.is_over());
        match self.commit_all(&mut tasks) {
            Ok(()) => tasks.into_iter().for_each(|task| task.settle(Ok(()))),
            // Nothing of it was committed, or all of it may be run again: one of them may have
            // been the reason, and the others go through without it.
            Err(failure) if tasks.len() > 1 && !failure.is_busy() => {
                for mut task in tasks {
                    let committed = if task.is_over() {
                        Err(Failure::Late)
                    } else {
                        self.commit_all(std::slice::from_mut(&mut task))
                    };
                    task.settle(committed);
                }
            }
            Err(failure) => {
                for task in tasks {
                    task.settle(Err(failure.clone()));
                }
            }
        }
    }

    fn commit_all(&mut self, tasks: &mut [Box<dyn Task>]) -> Result<(), Failure> {
        let Some(until) = tasks.iter().map(|task| task.until()).max() else {
            return Ok(());
        };
        begin(&self.connection, &mut self.queue, until)?;
        for task in tasks {
            task.run(self.table());
            if self.connection.is_autocommit() {
                // What SQLite cannot undo statement by statement, it undoes as a whole.
                return Err(Failure::Undone);
            }
        }
        gate::commit(&self.connection)
    }

    fn table(&self) -> Table<'_> {
        Table {
            connection: &self.connection,
            max_bytes: self.max_bytes,
        }
    }
}

impl Order {
    fn is_over(&self) -> bool {
        match self {
            Self::Write(task) => task.is_over(),
            Self::Transact(request) => request.is_over(),
        }
    }
}

/// Says whether somebody else waits for the writer.
fn is_wanted(orders: &Receiver<Order>, ahead: &mut Option<Order>) -> bool {
    while ahead.as_ref().is_none_or(Order::is_over) {
        let Ok(order) = orders.try_recv() else {
            return false;
        };
        *ahead = Some(order);
    }
    true
}

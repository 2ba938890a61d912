//! Where nobody waits for it, files are synced on a thread of their own: a slow disk takes seconds for what appending needn't wait for.

use crossbeam_channel::{SendError, Sender};

use crate::spool::SyncOrder;

/// The thread, as the flusher sees it. It ends with this, once it has done what was ordered.
#[derive(Debug)]
pub(crate) struct Syncing {
    orders: Sender<SyncOrder>,
}

impl Syncing {
    pub(crate) fn start() -> std::io::Result<Self> {
        // Of each stream there is one at the most.
        let (orders, ordered) = crossbeam_channel::unbounded::<SyncOrder>();
        let thread = std::thread::Builder::new().name("syncer".to_owned());
        let _detached = thread.spawn(move || ordered.iter().for_each(SyncOrder::carry_out))?;
        Ok(Self { orders })
    }

    /// Has a file synced. If the thread has died, the orders that it had count as failed, and what comes later is done here.
    pub(crate) fn order(&self, order: SyncOrder) {
        if let Err(SendError(order)) = self.orders.send(order) {
            order.carry_out();
        }
    }
}

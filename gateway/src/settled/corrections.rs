//! What a rerating changes, beside the sum of what was stored: either the sum saw it, or it is added.

use policy_engine::Correction;

/// The transactions that a moment saw, as `pg_current_snapshot()` writes them: `xmin:xmax:xip,…`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// All before have ended.
    xmin: u64,
    /// None from here on has.
    xmax: u64,
    /// Those in between that were running.
    running: Vec<u64>,
}

impl Seen {
    /// Reads it; `None` if it isn't one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ':');
        let mut next = || parts.next();
        let (xmin, xmax, running) = (next()?, next()?, next()?);
        let running = running.split(',').filter(|xid| !xid.is_empty());
        Some(Self {
            xmin: xmin.parse().ok()?,
            xmax: xmax.parse().ok()?,
            running: running.map(str::parse).collect::<Result<_, _>>().ok()?,
        })
    }

    fn has(&self, xid: u64) -> bool {
        xid < self.xmin || xid < self.xmax && !self.running.contains(&xid)
    }
}

/// Corrections that came.
#[derive(Debug, Default)]
pub(super) struct Corrections {
    /// What the sum saw, once it is made.
    summed: Option<Seen>,
    /// Not known to be in the sum or not, with their transactions.
    waiting: Vec<(u64, Correction)>,
}

impl Corrections {
    /// What of it is to be added now.
    pub(super) fn add(&mut self, xid: u64, corrections: &[Correction]) -> Vec<Correction> {
        match &self.summed {
            Some(summed) if summed.has(xid) => Vec::new(),
            Some(_) => corrections.to_vec(),
            None => {
                let each = corrections.iter().cloned();
                self.waiting
                    .extend(each.map(|correction| (xid, correction)));
                Vec::new()
            }
        }
    }

    /// The sum is made. Answers what has waited for that and isn't in it.
    pub(super) fn sum_is_made(&mut self, seen: Seen) -> Vec<Correction> {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain(|(xid, _)| !seen.has(*xid));
        self.summed = Some(seen);
        waiting
            .into_iter()
            .map(|(_, correction)| correction)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use domain::{OrgId, ProjectId};
    use uuid::Uuid;

    use super::*;

    fn correction(picodollars: i64) -> Correction {
        Correction {
            org_id: OrgId(Uuid::nil()),
            project_id: ProjectId(Uuid::nil()),
            key_id: None,
            model: String::new(),
            unix_micros: 0,
            picodollars,
        }
    }

    fn by(corrections: &[Correction]) -> Vec<i64> {
        corrections.iter().map(|it| it.picodollars).collect()
    }

    #[test]
    fn each_is_in_the_sum_or_added() {
        let mut corrections = Corrections::default();
        for xid in [9, 10, 12, 15, 20] {
            let now = corrections.add(xid, &[correction(i64::try_from(xid).unwrap())]);
            assert!(now.is_empty());
        }
        // 12 and 14 were running, 15 had ended.
        let seen = Seen::parse("12:20:12,14").unwrap();
        assert_eq!(by(&corrections.sum_is_made(seen)), [12, 20]);
        assert_eq!(
            by(&corrections.add(14, &[correction(1), correction(2)])),
            [1, 2]
        );
        assert!(corrections.add(19, &[correction(3)]).is_empty());
        assert_eq!(by(&corrections.add(21, &[correction(4)])), [4]);
    }

    #[test]
    fn what_the_database_writes_is_read() {
        let seen = Seen::parse("731:731:").unwrap();
        assert!(seen.has(730) && !seen.has(731));
        for text in ["", "1", "1:2", "a:2:", "1:2:3,b"] {
            assert_eq!(Seen::parse(text), None, "{text}");
        }
    }
}

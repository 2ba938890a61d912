//! Money as PostgreSQL's binary `numeric`: digits to the base 10,000.

use bytes::{BufMut, BytesMut};
use domain::Picodollars;

/// Digits that `cost_cents` has behind the point.
const SCALE: i16 = 10;
const BASE: u64 = 10_000;
/// Groups of four digits that hold those behind the point.
const GROUPS_BEHIND: usize = 3;
/// More than any amount has.
const MAX_GROUPS: usize = 8;

/// Appends an amount in cents, as a field with its length.
pub(crate) fn put_cents(row: &mut BytesMut, amount: Picodollars) {
    const SIGN_PLUS: i16 = 0;
    let (cents, part) = (
        amount.0 / Picodollars::CENT.0,
        amount.0 % Picodollars::CENT.0,
    );
    // Twelve digits instead of ten, which is three groups.
    let mut part = part * 100;
    let mut groups = [0_i16; MAX_GROUPS];
    let mut rest = cents;
    // From the last group to the first.
    for (index, group) in groups.iter_mut().rev().enumerate() {
        let source = if index < GROUPS_BEHIND {
            &mut part
        } else {
            &mut rest
        };
        *group = i16::try_from(*source % BASE).unwrap_or(0);
        *source /= BASE;
    }
    let is_set = |group: &i16| *group != 0;
    let first = groups.iter().position(is_set).unwrap_or(MAX_GROUPS);
    let end = groups
        .iter()
        .rposition(is_set)
        .map_or(first, |last| last + 1);
    let significant = groups.get(first..end).unwrap_or_default();
    let small = |count: usize| i16::try_from(count).unwrap_or(0);
    // The first group is worth 10,000 to this power.
    let weight = small(MAX_GROUPS) - small(first) - small(GROUPS_BEHIND) - 1;
    let weight = if significant.is_empty() { 0 } else { weight };
    let count = small(significant.len());
    row.put_i32(8 + 2 * i32::from(count));
    row.put_i16(count);
    row.put_i16(weight);
    row.put_i16(SIGN_PLUS);
    row.put_i16(SCALE);
    for group in significant {
        row.put_i16(*group);
    }
}

/// Reads what [`put_cents`] wrote, without its length.
pub(crate) fn read_cents(field: &[u8]) -> Option<Picodollars> {
    let (head, groups) = field.split_first_chunk::<8>()?;
    let [c0, c1, w0, w1, ..] = *head;
    let count = usize::try_from(i16::from_be_bytes([c0, c1])).ok()?;
    let weight = i32::from(i16::from_be_bytes([w0, w1]));
    let (groups, rest) = groups.as_chunks::<2>();
    if !rest.is_empty() || groups.len() != count {
        return None;
    }
    // In units of 10^-12 cents: the first group behind the point is worth 10,000^2 of them.
    let mut amount: u128 = 0;
    for (power, group) in (0..=weight + 3).rev().zip(groups) {
        let worth = u128::from(BASE).checked_pow(u32::try_from(power).ok()?)?;
        let group = u128::try_from(i16::from_be_bytes(*group)).ok()?;
        amount = amount.checked_add(group.checked_mul(worth)?)?;
    }
    u64::try_from(amount / 100).ok().map(Picodollars)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Count, weight, sign and scale, then the groups.
    fn encoded(amount: u64) -> Vec<i16> {
        let mut row = BytesMut::new();
        put_cents(&mut row, Picodollars(amount));
        let (length, field) = row.split_at(4);
        assert_eq!(
            i32::from_be_bytes(length.try_into().unwrap()),
            i32::try_from(field.len()).unwrap()
        );
        field
            .chunks(2)
            .map(|pair| i16::from_be_bytes([pair[0], pair[1]]))
            .collect()
    }

    #[test]
    fn amounts_are_groups_of_four_digits() {
        for (amount, expected) in [
            (0, &[0, 0, 0, 10][..]),
            (1, &[1, -3, 0, 10, 100]),
            (10_000_000_000, &[1, 0, 0, 10, 1]),
            // 123456.5 cents
            (1_234_565_000_000_000, &[3, 1, 0, 10, 12, 3456, 5000]),
            // 0.00045 cents
            (4_500_000, &[2, -1, 0, 10, 4, 5000]),
            (100_000_000_000_000, &[1, 1, 0, 10, 1]),
            (u64::MAX, &[6, 2, 0, 10, 18, 4467, 4407, 3709, 5516, 1500]),
        ] {
            assert_eq!(encoded(amount), expected, "{amount}");
        }
    }

    /// What was written, without its length.
    fn field(amount: u64) -> BytesMut {
        let mut row = BytesMut::new();
        put_cents(&mut row, Picodollars(amount));
        row.split_off(4)
    }

    #[test]
    fn what_is_no_amount_is_not_read() {
        let whole = field(1_234_565_000_000_000);
        for length in 0..whole.len() {
            assert_eq!(read_cents(&whole[..length]), None, "{length} bytes");
        }
        let mut huge = whole;
        huge[2..4].copy_from_slice(&i16::MAX.to_be_bytes());
        assert_eq!(read_cents(&huge), None);
    }

    proptest! {
        #[test]
        fn an_amount_is_read_as_it_was_written(amount: u64, shift in 0_u32..64) {
            for amount in [amount, amount >> shift, amount >> shift << shift] {
                prop_assert_eq!(read_cents(&field(amount)), Some(Picodollars(amount)));
            }
        }
    }
}

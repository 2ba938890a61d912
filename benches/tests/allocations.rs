//! Deciding about a request allocates nothing: for keys that were seen before, as all but the first request of each are.

use benches::policies::{admit, engine, policy, settle};
use domain::PriceBook;

#[test]
fn a_decision_and_its_settling_allocate_nothing() {
    let prices = PriceBook::embedded().unwrap();
    for policies in [0, 5, 10] {
        let engine = engine((0..policies).map(policy).collect());
        settle(&engine, admit(&engine, &prices, 1));
        let counted = allocation_counter::measure(|| {
            for _ in 0..100 {
                settle(&engine, admit(&engine, &prices, 1));
            }
        });
        assert_eq!(counted.count_total, 0, "{policies} policies: {counted:?}");
    }
}

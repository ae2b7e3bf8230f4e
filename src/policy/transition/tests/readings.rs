//! What a reading and a capability update must not make of what others have said.

use super::*;

fn in_use(limit: &str) -> NumberReading {
    NumberReading { status: Some("CONNECTED".into()), of_portfolio: true, ..read_limit(limit) }
}

/// A reading that was asked for at this time.
fn asked_for(state: &NumberState, read: &NumberReading, at: i64) -> Learned {
    let terms = terms(LearnedBy::Reconciliation, at, 20).of_reading();
    by_reading(Some(state), DIGITS, read, true, &terms)
}

fn portfolio_told(learned: &Learned) -> Vec<Option<&str>> {
    learned.events.iter().map(|event| event.quality.max_daily_conversations_per_business.as_deref()).collect()
}

#[test]
fn a_reading_that_may_be_older_does_not_overrule_what_a_notification_has_just_said() {
    let own = change(quality("UPGRADE", "TIER_10K", "", ""), 1, Some(NOW));
    let (state, ..) = news(&knowing(&[(What::Limit, "TIER_2K")]), &own);
    for after in [0, 1, 29] {
        let read = asked_for(&state, &in_use("TIER_2K"), NOW + after);
        assert_eq!((told(&read), value(&read.state, What::Limit)), (vec![], "TIER_10K"), "{after} s after");
    }
    let later = asked_for(&state, &in_use("TIER_2K"), NOW + 30);
    assert_eq!(told(&later), ["DOWNGRADE TIER_10K TIER_2K"]);
    // What was asked for by a clock that is ahead does not hold back what Meta says.
    let confirmed = asked_for(&knowing(&[(What::Limit, "TIER_2K")]), &in_use("TIER_2K"), NOW + 5).state;
    assert_eq!(told(&capability(&confirmed, "10000", NOW + 3, 9)), ["UPGRADE TIER_2K TIER_10K"]);
}

#[test]
fn a_limit_that_a_reading_says_of_the_portfolio_is_the_portfolios_and_told_as_such() {
    let known = knowing(&[(What::Limit, "TIER_2K"), (What::PortfolioLimit, "2000")]);
    let read = asked_for(&known, &in_use("TIER_10K"), NOW);
    assert_eq!(portfolio_told(&read), [Some("TIER_10K")]);
    assert_eq!(value(&read.state, What::PortfolioLimit), "TIER_10K");
    let of_the_number = NumberReading { of_portfolio: false, ..in_use("TIER_10K") };
    let read = asked_for(&known, &of_the_number, NOW);
    assert_eq!((portfolio_told(&read), value(&read.state, What::PortfolioLimit)), (vec![None], "2000"));
    let new = reading(None, &in_use("TIER_10K"), NOW, 9);
    assert_eq!(portfolio_told(&new), [Some("TIER_10K")]);
}

#[test]
fn a_limit_per_phone_is_not_told_as_the_portfolios() {
    let known = knowing(&[(What::Limit, "TIER_100K"), (What::PortfolioLimit, "TIER_100K")]);
    let per_phone = Capability { limit: "1000".into(), of_portfolio: false, details: String::new() };
    let learned = by_capability(&known, DIGITS, &per_phone, true, &terms(LearnedBy::Capability, NOW, 9));
    assert_eq!(told(&learned), ["DOWNGRADE TIER_100K TIER_1K"]);
    assert_eq!(
        (portfolio_told(&learned), value(&learned.state, What::PortfolioLimit)),
        (vec![None], "TIER_100K")
    );
}

#[test]
fn a_number_that_only_others_have_named_is_introduced_by_the_first_reading_of_it() {
    let name = Change {
        field: "phone_number_name_update".into(),
        detail: Detail::Other { event_type: "phone_number_name_update".into(), details: "{}".into() },
        ..change(quality("", "", "", ""), 7, Some(NOW))
    };
    let Transition::News(News { state: named, .. }) = take(&NumberState::default(), &name, 1) else {
        panic!()
    };
    let told_of = |state: &NumberState| told(&asked_for(state, &in_use("TIER_2K"), NOW + 60));
    assert_eq!(told_of(&named), ["ONBOARDING TIER_2K"]);
    let capable = capability(&named, "2000", NOW + 1, 2);
    assert_eq!((told(&capable), told_of(&capable.state)), (vec![], vec!["ONBOARDING TIER_2K".to_owned()]));
    let entered =
        by_hand(&NumberState::default(), DIGITS, &ByHand::default(), &terms(LearnedBy::Hand, NOW, 1));
    assert_eq!(told_of(&entered.state), Vec::<String>::new(), "a person knows of it");
    let (flagged, ..) = news(&named, &change(quality("FLAGGED", "", "", ""), 1, Some(NOW)));
    assert_eq!(told_of(&flagged), Vec::<String>::new(), "it was told of");
}

#[test]
fn where_a_number_is_gone_a_reading_says_only_that() {
    let known = knowing(&[(What::Limit, "TIER_2K"), (What::Throughput, "HIGH")]);
    for status in ["DISCONNECTED", "MIGRATED", "DELETED"] {
        let gone = NumberReading { status: Some(status.into()), ..in_use("TIER_250") };
        let read = asked_for(&known, &gone, NOW + 60);
        assert_eq!((told(&read), value(&read.state, What::Limit)), (vec![], "TIER_2K"));
        assert_eq!((value(&read.state, What::Status), read.state.placed), (status, known.placed));
    }
}

#[test]
fn an_onboarding_after_a_retirement_is_news_although_it_says_what_was_said_before() {
    let onboarding = |time| change(quality("ONBOARDING", "TIER_250", "", ""), 1, Some(time));
    let (state, ..) = news(&NumberState::default(), &onboarding(NOW - 200));
    let flagged = ByHand { values: vec![(What::Flagged, Word::new("FLAGGED"))] };
    let state = by_hand(&state, DIGITS, &flagged, &terms(LearnedBy::Hand, NOW - 100, 9)).state;
    let gone = retired(&state, instant(NOW - 50));
    let (back, ..) = news(&gone, &onboarding(NOW));
    assert_eq!(
        (back.retired, value(&back, What::Flagged), value(&back, What::Limit)),
        (false, "", "TIER_250")
    );
    assert!(
        matches!(take(&state, &onboarding(NOW), 9), Transition::Resent(..)),
        "without one it is a resend"
    );
}

#[test]
fn a_throughput_that_does_not_apply_is_none_and_what_follows_it_no_rise() {
    let known = knowing(&[(What::Throughput, "HIGH")]);
    let level = |level: &str| NumberReading { throughput: Some(level.into()), ..NumberReading::default() };
    let none = reading(Some(&known), &level("NOT_APPLICABLE"), NOW, 9);
    assert_eq!((value(&none.state, What::Throughput), none.quiet), ("HIGH", vec![]));
    assert_eq!(told(&reading(Some(&none.state), &level("HIGH"), NOW + 1, 9)), Vec::<String>::new());
}

#[test]
fn a_limit_after_one_that_compares_with_none_is_told_as_raised() {
    let odd = knowing(&[(What::Limit, "UNTIERED")]);
    assert_eq!(told(&capability(&odd, "2000", NOW, 9)), ["UPGRADE UNTIERED TIER_2K"]);
}

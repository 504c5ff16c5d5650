use super::known::MOST;
use super::*;

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
const APP: Tried = Tried::Client(Some(0));

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_client_is_slowed_where_it_fails_and_nowhere_else() {
    let throttle = Throttle::default();
    let attacker = address("2001:db8::1");
    for _ in 0..10 {
        assert_eq!(throttle.check(APP, attacker, NOW), Ok(()));
        throttle.failed(APP, attacker, NOW);
    }
    let wait = throttle.check(APP, address("2001:db8::ffff"), NOW).unwrap_err();
    assert_eq!(wait, Duration::from_secs(6));
    assert_eq!(throttle.check(APP, attacker, NOW + wait), Ok(()));
    let other = Tried::Client(Some(1));
    assert_eq!(throttle.check(other, attacker, NOW), Ok(()), "another client behind the same address");
    assert_eq!(throttle.check(APP, address("192.0.2.1"), NOW), Ok(()), "the client where it really is");
}

#[test]
fn an_address_is_slowed_whatever_it_calls_itself() {
    let throttle = Throttle::default();
    for _ in 0..60 {
        throttle.failed(Tried::Client(None), address("192.0.2.1"), NOW);
    }
    assert!(throttle.check(Tried::Client(None), address("192.0.2.1"), NOW).is_err());
    assert!(throttle.check(Tried::Client(Some(3)), address("::ffff:192.0.2.1"), NOW).is_err());
    assert_eq!(throttle.check(Tried::Client(None), address("192.0.2.2"), NOW), Ok(()));
    assert_eq!(throttle.check(Tried::Link, address("192.0.2.1"), NOW), Ok(()), "each has a quota of its own");
}

#[test]
fn however_many_addresses_try_to_be_a_client_it_is_let_in_at_home() {
    let throttle = Throttle::default();
    let (home, stranger) = (address("192.0.2.1"), address("198.51.100.1"));
    let attack = |from: u32| {
        for number in from..from + 300 {
            throttle.failed(APP, IpAddr::from(number.to_be_bytes()), NOW);
        }
    };
    // As long as nobody knows where it is at home, nobody can say who is a stranger.
    attack(1 << 24);
    assert_eq!(throttle.check(APP, home, NOW), Ok(()));
    throttle.proved(0, home);
    attack(2 << 24);
    assert!(throttle.check(APP, stranger, NOW).is_err());
    assert_eq!(throttle.check(APP, home, NOW), Ok(()));
    assert_eq!(
        throttle.check(Tried::Client(Some(1)), stranger, NOW),
        Ok(()),
        "other clients are not concerned"
    );
    assert_eq!(throttle.check(APP, stranger, NOW + Duration::from_millis(200)), Ok(()));
}

#[test]
fn however_many_addresses_there_are_they_fit() {
    let throttle = Throttle::default();
    throttle.proved(2, address("192.0.2.1"));
    for number in 0..50_000_u32 {
        throttle.failed(Tried::Client(Some(1)), IpAddr::from(number.to_be_bytes()), NOW);
        throttle.failed(Tried::Client(Some(2)), IpAddr::from(number.to_be_bytes()), NOW);
    }
    assert!(throttle.known().callers.len() <= MOST + 6);
    let stranger = address("198.51.100.1");
    let nobody = Tried::Client(None);
    assert!(throttle.check(nobody, stranger, NOW).is_err(), "strangers share what is left");
    assert_eq!(throttle.check(nobody, stranger, NOW + Duration::from_secs(60)), Ok(()));
    assert_eq!(throttle.check(Tried::Client(Some(2)), address("192.0.2.1"), NOW), Ok(()), "and not at home");
}

#[tokio::test]
async fn what_is_wrong_too_often_waits_and_only_so_much_of_it() {
    let throttle = Throttle::default();
    let guesser = address("192.0.2.1");
    for _ in 0..60 {
        assert_eq!(throttle.wrong(Tried::Bearer, guesser, NOW).await, Pace::Usual);
    }
    let started = tokio::time::Instant::now();
    assert!(matches!(throttle.wrong(Tried::Bearer, guesser, NOW).await, Pace::Late(_)));
    assert!(started.elapsed() >= WAITS);
    assert_eq!(throttle.wrong(Tried::Bearer, address("192.0.2.2"), NOW).await, Pace::Usual);
    let places: Vec<_> = (0..MOST_WAITING)
        .map(|_| Place::take(&throttle, Caller::at(guesser, Tried::Bearer)).unwrap())
        .collect();
    assert!(matches!(throttle.wrong(Tried::Bearer, guesser, NOW).await, Pace::Crowded(_)));
    drop(places);
    assert!(throttle.waiting().is_empty());
}

#[test]
fn what_is_counted_each_time_needs_no_failure() {
    let throttle = Throttle::default();
    let here = address("192.0.2.1");
    for _ in 0..300 {
        assert_eq!(throttle.count_in(Tried::Begin, here, NOW), Ok(()));
    }
    let wait = throttle.count_in(Tried::Begin, here, NOW).unwrap_err();
    assert!(wait <= Duration::from_millis(200), "{wait:?}");
    assert_eq!(throttle.count_in(Tried::Begin, address("192.0.2.2"), NOW), Ok(()));
}

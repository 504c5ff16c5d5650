use super::*;

fn saved(rules: &str) -> RuleSet {
    RuleSet::parse(&format!("*filter\n:INPUT DROP [3:120]\n:a - [0:0]\n{rules}COMMIT\n"))
}

#[test]
fn what_is_restored_reads_back_as_the_same() {
    for family in [Family::V4, Family::V6] {
        let set = expected(family, &[], None);
        assert_eq!(RuleSet::parse(&set.restore_text()), set);
    }
}

#[test]
fn a_rule_added_by_hand_is_named() {
    let want = saved("-A a -j DROP\n");
    let have = saved("-A INPUT -p tcp -m tcp --dport 99 -j ACCEPT\n-A a -j DROP\n");
    assert_eq!(
        want.differences(&have, Family::V4),
        ["- ip filter INPUT -p tcp -m tcp --dport 99 -j ACCEPT (not declared)"]
    );
}

#[test]
fn a_missing_rule_a_policy_and_an_order_are_differences() {
    let want = saved("-A a -j ONE\n-A a -j TWO\n");
    assert_eq!(want.differences(&saved("-A a -j ONE\n"), Family::V6), ["+ ip6 filter a -j TWO"]);
    assert_eq!(want.differences(&saved("-A a -j TWO\n-A a -j ONE\n"), Family::V6).len(), 1);
    let open = RuleSet::parse("*filter\n:INPUT ACCEPT [0:0]\n:a - [0:0]\n-A a -j ONE\n-A a -j TWO\nCOMMIT\n");
    assert_eq!(
        want.differences(&open, Family::V4),
        ["- ip filter INPUT policy ACCEPT", "+ ip filter INPUT policy DROP"]
    );
}

#[test]
fn a_table_that_does_nothing_is_no_difference_and_one_that_does_is_emptied() {
    let want = saved("");
    let idle = RuleSet::parse(&format!("{}*mangle\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n", want.restore_text()));
    assert!(want.differences(&idle, Family::V4).is_empty());
    let busy = RuleSet::parse("*mangle\n:PREROUTING ACCEPT [0:0]\n:x - [0:0]\n-A PREROUTING -j x\nCOMMIT\n");
    assert!(
        want.clone().and_empty(&busy).restore_text().ends_with("*mangle\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n")
    );
}

#[test]
fn protocols_by_number_or_other_name_are_the_same_rule() {
    assert_eq!(
        normal("-p icmpv6 -m icmp6 --icmpv6-type 1 -j ACCEPT"),
        normal("-p 58 -m icmp6 --icmpv6-type 1 -j ACCEPT")
    );
}

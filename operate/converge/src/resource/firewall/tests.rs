use super::*;
use crate::resource::testing::in_namespaces;
use std::process::Command;

fn firewall() -> Firewall {
    let incoming = |from: &str, port, transport: &str, comment: &str| FirewallRule {
        from: from.into(),
        port,
        transport: transport.into(),
        comment: comment.into(),
    };
    Firewall {
        incoming: vec![
            incoming("10.0.0.1/32", 22, "tcp", "edge: ssh, second hop"),
            incoming("0.0.0.0/0", 443, "udp", "http3"),
            incoming("2606:4700::/32", 443, "tcp", "cdn"),
        ],
        forward: vec![
            ForwardRule {
                from: "10.0.0.0/24".into(),
                to: "0.0.0.0/0".into(),
                ports: Some(vec![(443, "tcp".into()), (53, "udp".into())]),
                comment: "egress".into(),
            },
            ForwardRule {
                from: "10.0.0.0/24".into(),
                to: "198.51.100.7".into(),
                ports: None,
                comment: String::new(),
            },
        ],
        masquerade: Some(Masquerade { from: "10.0.0.0/24".into(), public_address: "127.0.0.1".into() }),
    }
}

fn sh(script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}: {said}");
    said
}

/// Runs the named test again in network and mount namespaces of its own, with ufw's files copied aside.
fn in_namespace(test: &str) -> bool {
    in_namespaces(test, &["--net", "--mount", "--propagation", "private"], || {
        sh("d=$(mktemp -d); mount -t tmpfs tmpfs $d; cp -a /etc/ufw /etc/default $d/; \
            mount --bind $d/ufw /etc/ufw; mount --bind $d/default /etc/default; umount $d; rmdir $d; ip link set lo up");
    })
}

fn host() -> Host {
    Host::new(Box::new(|_| Err(ResourceError::Other("no blobs here".into()))))
}

fn observed_lines(firewall: &Firewall) -> Vec<String> {
    firewall.observe(&mut host()).unwrap().difference.map(|difference| difference.lines).unwrap_or_default()
}

fn assert_repaired(broken_by: &str, says: &str) {
    sh(broken_by);
    let lines = observed_lines(&firewall());
    assert!(lines.iter().any(|line| line.contains(says)), "{broken_by}: {lines:#?}");
    firewall().change(&mut host()).unwrap();
    assert_eq!(observed_lines(&firewall()), Vec::<String>::new(), "after {broken_by}");
}

#[test]
#[ignore = "needs root, ufw and network namespaces"]
fn real_ufw_is_closed_shown_and_kept() {
    if !in_namespace("resource::firewall::tests::real_ufw_is_closed_shown_and_kept") {
        return;
    }
    assert!(!observed_lines(&firewall()).is_empty(), "a bare host differs");
    firewall().change(&mut host()).unwrap();
    assert_eq!(observed_lines(&firewall()), Vec::<String>::new());

    let status = sh("ufw status verbose");
    for expected in
        ["Status: active", "deny (incoming)", "# edge: ssh, second hop", "# cdn", "ALLOW FWD   10.0.0.0/24"]
    {
        assert!(status.contains(expected), "{expected}: {status}");
    }
    // What ufw makes of our files, at boot and when a person uses it, is what we expect.
    sh("/usr/lib/ufw/ufw-init force-stop && /usr/lib/ufw/ufw-init start");
    assert_eq!(observed_lines(&firewall()), Vec::<String>::new(), "after ufw-init");
    sh("ufw reload; ufw reload");
    assert_eq!(observed_lines(&firewall()), Vec::<String>::new(), "after ufw reload");
    sh("ufw allow 9999/tcp; ufw delete allow 9999/tcp");
    assert_eq!(observed_lines(&firewall()), Vec::<String>::new(), "after a rule that came and went");

    assert_repaired("ufw allow 9999/tcp", "- ip filter ufw-user-input -p tcp -m tcp --dport 9999 -j ACCEPT");
    assert_repaired("ufw default allow incoming", "DEFAULT_INPUT_POLICY=\"ACCEPT\"");
    assert_repaired("ufw disable", "ENABLED=no");
    assert_repaired(
        "iptables -I INPUT -p tcp --dport 99 -j ACCEPT",
        "- ip filter INPUT -p tcp -m tcp --dport 99",
    );
    assert_repaired("ip6tables -P INPUT ACCEPT", "- ip6 filter INPUT policy ACCEPT");
    assert_repaired("iptables -D ufw-user-input 1", "+ ip filter ufw-user-input -s 10.0.0.1/32");
    assert_repaired("iptables -t mangle -A PREROUTING -j ACCEPT", "- ip mangle PREROUTING -j ACCEPT");
    assert_repaired("iptables -t nat -A POSTROUTING -j MASQUERADE", "- ip nat POSTROUTING -j MASQUERADE");
    assert_repaired(
        "nft add table inet evil; nft 'add chain inet evil c { type filter hook input priority -10; }'",
        "- nft table inet evil",
    );
    assert_repaired(
        "nft 'add chain ip filter evil { type filter hook input priority -10; }'; \
         nft 'add rule ip filter evil meta mark set 7 ct mark set meta mark accept'; \
         nft add rule ip filter INPUT tcp dport 77 ct mark set 8 accept",
        "ip filter",
    );
    sh("nft add table inet notes; nft add table inet f2b-table");
    assert_eq!(observed_lines(&firewall()), Vec::<String>::new(), "tables that are harmless or known");
}

#[test]
#[ignore = "needs root, ufw and network namespaces"]
fn real_ufw_comes_back_as_it_was() {
    if !in_namespace("resource::firewall::tests::real_ufw_comes_back_as_it_was") {
        return;
    }
    sh("cp -a /etc/ufw /tmp/ufw-kept.$PPID; cp /etc/default/ufw /tmp/ufw-kept.$PPID/default");
    firewall().change(&mut host()).unwrap();
    sh(
        "for f in before after user before6 after6 user6; do cat /tmp/ufw-kept.$PPID/$f.rules > /etc/ufw/$f.rules; done; \
        cat /tmp/ufw-kept.$PPID/ufw.conf > /etc/ufw/ufw.conf; cat /tmp/ufw-kept.$PPID/default > /etc/default/ufw; \
        rm -r /tmp/ufw-kept.$PPID",
    );
    for command in firewall().after_revert() {
        sh(&command.join(" "));
    }
    let saved = sh("iptables-save; ip6tables-save; ufw status");
    assert!(!saved.contains(":INPUT DROP") && !saved.contains("--dport 22"), "{saved}");
    assert!(saved.contains("Status: inactive"));
}

#[test]
fn the_same_opening_for_two_purposes_is_one_rule() {
    let mut firewall = firewall();
    let again = FirewallRule { comment: "metrics".into(), ..firewall.incoming[0].clone() };
    firewall.incoming.push(again.clone());
    firewall.incoming.push(again);
    let rules = firewall.rules(Family::V4).unwrap();
    assert_eq!(rules.len(), 5);
    assert_eq!(rules[0].comment, "edge: ssh, second hop, metrics");
}

#[test]
fn ufw_reads_back_what_is_written() {
    let rules = firewall().rules(Family::V4).unwrap();
    let written = files::rules(Family::V4, &rules, &firewall().rule_set(Family::V4).unwrap());
    let user = &written[2].content;
    for expected in [
        "### tuple ### allow tcp 22 0.0.0.0/0 any 10.0.0.1 in comment=656467653a207373682c207365636f6e6420686f70\n\
         -A ufw-user-input -p tcp --dport 22 -s 10.0.0.1 -j ACCEPT\n",
        "### tuple ### route:allow tcp 443 0.0.0.0/0 any 10.0.0.0/24 in comment=656772657373\n\
         -A ufw-user-forward -p tcp --dport 443 -s 10.0.0.0/24 -j ACCEPT\n",
        "### tuple ### route:allow any any 198.51.100.7 any 10.0.0.0/24 in\n\
         -A ufw-user-forward -d 198.51.100.7 -s 10.0.0.0/24 -j ACCEPT\n",
    ] {
        assert!(user.contains(expected), "{expected}: {user}");
    }
}

#[test]
fn nonsense_is_refused_before_anything_is_touched() {
    let mut bad = firewall();
    bad.incoming[0].from = "10.0.0".into();
    assert!(bad.observe(&mut host()).unwrap_err().to_string().contains("`10.0.0` is not a network"));
    let mut bad = firewall();
    bad.forward[0].to = "::/0".into();
    assert!(bad.observe(&mut host()).unwrap_err().to_string().contains("different address families"));
    let mut bad = firewall();
    bad.masquerade = Some(Masquerade { from: "10.0.0.0/24".into(), public_address: "198.51.100.77".into() });
    assert!(bad.check_public_address().unwrap_err().to_string().contains("does not hold 198.51.100.77"));
}

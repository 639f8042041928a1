#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;

fn stored(name: &str) -> Transform {
    Transform::new(ModuleCode::Stored(name.to_owned()))
}

/// A module that exports functions of these names, as far as the sections go that anybody looks at.
fn module(exports: &[&str]) -> Vec<u8> {
    let mut section = vec![exports.len() as u8];
    for name in exports {
        section.push(name.len() as u8);
        section.extend(name.bytes());
        section.extend_from_slice(&[0, 1]);
    }
    let header = [WASM, &[1, 0, 0, 0], &[0, 3, 1, 2, 3], &[7, section.len() as u8]].concat();
    [header, section].concat()
}

#[test]
fn what_is_wrong_is_said_before_anything_is_sent() {
    let said = |transform: &Transform| transform.validate().unwrap_err().message;
    let with =
        |key: &str, value: &str| Transform { params: [(key.to_owned(), value.to_owned())].into(), ..stored("filter") };
    let long = "x".repeat(LONGEST_TEXT + 1);
    assert!(said(&stored("")).contains("name is empty"));
    assert!(said(&stored(&long)).contains("has 32768 bytes: it may have 32767"));
    assert!(said(&with("needle", &long)).contains("the value of a SmartModule's parameter has 32768"));
    assert!(said(&with(&long, "x")).contains("the name of a SmartModule's parameter has 32768"));
    let text = Transform::new(ModuleCode::Wasm(b"(module)".to_vec()));
    assert!(said(&text).contains("begins with [28, 6d, 6f, 64]: it must be WebAssembly"), "{}", said(&text));
    with("needle", &long[1..]).validate().unwrap();
    Transform::new(ModuleCode::Wasm(module(&[]))).validate().unwrap();
}

/// As the bytes that the documentation of the protocol gives, and as they were recorded of a real server's client.
#[test]
fn an_invocation_on_the_wire() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let code = [GZIP, &[8, 0]].concat();
    let lookback = Some(Lookback { last: 1, age: None });
    let ad_hoc = Transform { lookback, ..Transform::new(ModuleCode::Wasm(code)) };
    let expected = "00000001 01 00000004 1f8b0800 07 00 0000 01 0000000000000001 00 00";
    assert_eq!(hex(&encoded(std::slice::from_ref(&ad_hoc), 25).unwrap()), expected.replace(' ', ""));
    let expected = "00000001 01 00000004 1f8b0800 07 00 0000 01 0000000000000001";
    assert_eq!(hex(&encoded(&[ad_hoc], 20).unwrap()), expected.replace(' ', ""));
    let lookback = Some(Lookback { last: 0, age: Some(Duration::new(60, 5)) });
    let params = [("k".to_owned(), "v".to_owned())].into();
    let sum = Transform { initial: b"7".to_vec(), params, lookback, ..stored("sum") };
    let expected = "00000001 00 0003 73756d 07 01 00000001 37 0001 0001 6b 0001 76 \
                    01 0000000000000000 01 000000000000003c 00000005 01 0003 73756d";
    assert_eq!(hex(&encoded(&[sum], 25).unwrap()), expected.replace(' ', ""));
    assert_eq!(encoded(&[], 25).unwrap(), [0; 4]);
}

#[test]
fn an_aggregate_is_known_by_its_exports() {
    let is_aggregate = |code: Vec<u8>| Transform::new(ModuleCode::Wasm(code)).is_aggregate().unwrap();
    assert!(is_aggregate(module(&["memory", "aggregate", "alloc"])));
    assert!(is_aggregate(packed(&module(&["aggregate"])).unwrap()));
    assert!(!is_aggregate(module(&["aggregate", "map"])), "the server takes the map");
    assert!(!is_aggregate(module(&["filter"])));
    let whole = module(&["alloc", "aggregate"]);
    for length in 0..whole.len() {
        assert!(!is_aggregate(whole[..length].to_vec()));
    }
    let mut sum = stored("sum");
    assert_eq!(sum.is_aggregate(), None);
    sum.learn(&whole);
    assert_eq!(sum.is_aggregate(), Some(true));
}

#[test]
fn the_chain_is_opened_by_the_head_and_closed_by_the_stamp() {
    let names = |chain: &Chain, range| {
        let modules = chain.invocations(range, Some(b"12")).into_iter();
        modules.map(|module| (module.name.unwrap(), format!("{:?}", module.kind))).collect::<Vec<_>>()
    };
    let sum = Transform { aggregates: Some(true), ..stored("sum") };
    let filter = Transform { aggregates: Some(false), ..stored("filter") };
    let chain = Chain::new(&[filter.clone(), sum.clone()]).unwrap().unwrap();
    assert!(chain.gives_values() && !chain.hides_values());
    let all = names(&chain, Range { from: 0, to: None });
    assert_eq!(all.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["filter", "sum", "fluvio-cffi-stamp"]);
    assert_eq!(all[1].1, "Generic(Aggregate { accumulator: [49, 50] })");
    let part = names(&chain, Range { from: 7, to: None });
    assert_eq!(part[0].0, "fluvio-cffi-head");
    let head = &chain.invocations(Range { from: 7, to: Some(9) }, None)[0].params;
    assert_eq!((head.get("from").unwrap(), head.get("to").unwrap()), (&"7".to_owned(), &"9".to_owned()));
    assert!(Chain::new(&[sum.clone(), filter]).unwrap().unwrap().hides_values());
    let unknown = Chain::new(&[sum, stored("filter")]).unwrap().unwrap();
    assert!(unknown.may_hide_values() && !unknown.hides_values() && !unknown.gives_values());
    assert!(Chain::new(&[]).unwrap().is_none());
}

/// `FLUVIO_CFFI_WRITE_WASM=1` makes them.
#[test]
fn our_modules_are_made_of_their_sources() {
    for name in ["head", "stamp"] {
        let path = |suffix| format!("{}/src/smartmodule/{name}.{suffix}", env!("CARGO_MANIFEST_DIR"));
        let made = wat::parse_file(path("wat")).unwrap();
        if std::env::var_os("FLUVIO_CFFI_WRITE_WASM").is_some() {
            std::fs::write(path("wasm"), &made).unwrap();
        }
        assert_eq!(std::fs::read(path("wasm")).unwrap(), made, "{name}.wasm is not what {name}.wat makes");
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;
import {Letters} from "./Letters.sol";
import {HostileWorld} from "./Hostile.t.sol";
contract L2 is Letters {
  event Count(string name, uint256 n);
  function dump(bytes32[] memory names) external { for (uint i; i<names.length;++i) emit Count(string(abi.encodePacked(names[i])), times[names[i]]); emit Count("live", live.length); emit Count("loans", loans.length); emit Count("orders", orderIds.length); emit Count("clock", clock-1760000000);
   for (uint i; i<4;i++) for (uint j; j<3;j++) emit Count("recourse", _recourse(banks[j], suppliers[i])); emit Count("AdvanceOverCap", times[bytes32(bytes4(keccak256("AdvanceOverCap(uint256,uint256)")))]);  emit Count("Paused", times[bytes32(bytes4(keccak256("EnforcedPause()")))]); }
}
contract DebugTest {
  function test_dbg() public {
    L2 world = new L2(); world.setUp();
    bytes4[] memory steps = world.steps(); uint256 dice=1;
    for (uint256 i; i<1000; ++i) { dice = uint256(keccak256(abi.encode(dice)));
      (bool ok,) = address(world).call(abi.encodeWithSelector(steps[dice % steps.length], dice>>8));
      require(ok); }
    bytes32[] memory n = new bytes32[](12);
    n[0]="confirm"; n[1]="finance"; n[2]="draw"; n[3]="convert"; n[4]="split"; n[5]="pay in full"; n[6]="no room"; n[7]="bad attestation"; n[8]="travel"; n[9]="pause"; n[10]="freezeOrThaw"; n[11]="declareDefault";
    world.dump(n);
  }
}

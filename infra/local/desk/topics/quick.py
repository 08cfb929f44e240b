"""Answers that settle a ticket at once, by subject."""

QUICK: dict[str, tuple[str, ...]] = {
    "app_crash": (
        "This is a known fault of version {version}: the app stumbles over a room without a name. If you give every room a name in the web portal, it opens again; the next update makes that unnecessary.",
        "Please update once more, the store has had a corrected version since this morning. After that the app should open as usual.",
    ),
    "app_login": (
        "The account had locked itself after several attempts. I have just unlocked it and sent a reset link that is valid for a day, so you can choose a new password right away.",
        "Sign-in codes by text message are delayed at one of the mobile networks today. Please choose Email instead on the same screen, that works at once.",
    ),
    "app_notifications": (
        "Signing out of the app and in again registers your phone anew, and alerts usually arrive within seconds afterwards. I have also removed an old registration on our side.",
        "The push service was delayed between {hour} and noon and has caught up since. You do not have to change anything.",
    ),
    "app_live_view": (
        "The relay in your region was overloaded that evening. We have added a second one, and the live picture loads within two seconds now.",
        "Please set the camera's quality to Automatic. It then follows the speed of your connection, and the picture no longer stays black.",
    ),
    "app_sharing": (
        "That works under Home > People > Invite. Choose Guest if they should only see certain devices or certain hours; the invitation is valid for 48 hours.",
        "You can take away anybody's access under Home > People with one tap, and all of their sessions end at the same moment.",
    ),
    "app_schedule": (
        "Please open the routine and save it once; since the clock change that is needed a single time. From then on it follows the local time by itself.",
        "The time zone of your home was still set to the place where the hub was packed. I have corrected it, and tonight's run is listed for the right time.",
    ),
    "app_slow": (
        "Switching Settings > Location to Balanced cuts the battery use to a fraction. The next version will also close the video decoder sooner.",
        "Your history holds more than a year of events. I have shortened what the phone loads at start, so the app opens quickly again.",
    ),
    "app_dark_mode": (
        "Thank you for the idea! I have added your vote to our list, and the product team reads every single one of them.",
        "You are in luck: this came with the latest version. You find it under Settings > Appearance.",
    ),
    "hub_offline": (
        "Your hub was still on an older firmware that loses the connection at night. I have updated it from here, and it has been online since.",
        "Please give the 2.4 GHz network a name of its own in the router. The hub then stays on it, and the dropouts stop.",
    ),
    "hub_setup": (
        "The setup code is under the rubber foot at the back, and a VPN on the phone has to be off while you pair. With these two the setup usually goes through at the first attempt.",
        "The hub was still registered to its previous owner. I have released it, so please start the setup once more.",
    ),
    "sensor_battery": (
        "Sensors from that batch drain their battery because of a fault of ours. A new one is on its way to you, free of charge.",
        "In the cold, ordinary cells last only a few weeks. With lithium cells you get well over a year out of the same sensor.",
    ),
    "false_alarm": (
        "The log shows that the motion sensor in the {room} reacted to warm air. I have set it to the slower mode, and two-step alarm now asks for a second sensor before the siren starts.",
        "For pets up to 15 kilograms please switch on Pet mode under Devices > Motion. The sensor should hang at 2.2 metres and not above furniture.",
    ),
    "smoke_detector": (
        "One chirp a minute means a weak battery or dust. Compressed air through the slots and a fresh battery settle it in nine cases out of ten; if it goes on, we replace the detector.",
        "The detector had lost the hub. I have paired it again from our side and the chirping should have stopped by now.",
    ),
    "voice_control": (
        "The permission for the assistant had run out. Please link Fernhollow once more in the assistant's app, it takes a minute and lasts for a year.",
        "For disarming by voice you need a spoken PIN, which you can set under Settings > Voice. Arming works without it.",
    ),
    "hub_firmware": (
        "I have started the update from our side over another route. Your hub now runs {firmware}, and nothing else has changed.",
        "The storage of the hub was full, so the update could not unpack itself. I have cleared clips older than 30 days, and the update went through.",
    ),
    "hub_range": (
        "Two thick walls are about the limit. An extender halfway gives you three more bars, and I have put a voucher for half its price into your account.",
        "Up to 30 metres are possible in the open, about 12 through walls. Moving the hub away from the television often helps at once.",
    ),
    "camera_night": (
        "The fog comes from infrared light that is reflected by something near. Turn the camera a few degrees away from the wall or the gutter and the picture clears up.",
        "Please check whether the thin protective film is still on the lens. It is almost invisible by day and blinds the camera at night.",
    ),
    "camera_wifi": (
        "You can take the camera along to the new router under Camera > Network > Change, without pairing it again. It uses the 2.4 GHz band only.",
        "Orange means that the router gives no address to the camera. Raising the number of devices in the router's settings cures it.",
    ),
    "camera_recordings": (
        "I found the raw data of that time and put the clip into your account. You can download it under History for the next 14 days.",
        "The motion zone covered only a part of the picture. I have set it to the whole picture, so that nothing is missed from now on.",
    ),
    "camera_water": (
        "That must not happen to an outdoor camera. A replacement goes out today under warranty, and you can recycle the old one.",
        "Cameras of that batch had a crooked seal. We replace yours without further questions; the tracking number is {tracking}.",
    ),
    "camera_audio": (
        "Privacy mode mutes the microphone on purpose. You can switch it off under Camera > Privacy, and the next clip has sound again.",
        "The phone needs permission to use the microphone for talking through the camera. Once you allow it, visitors can hear you.",
    ),
    "privacy_data": (
        "Your data is ready for download under Account > Privacy. It holds everything that we store about you, and we delete the copy after 14 days.",
        "Recordings are stored encrypted in two data centres in the European Union, and nobody at Fernhollow can watch them without your release.",
    ),
    "price_increase": (
        "I understand your anger. With yearly billing the old price stays for another twelve months; I have enabled that option in your account, should you want it.",
        "The new price pays for 60 instead of 30 days of recordings. If you do not need that, the Basic plan for 4.99 has everything else.",
    ),
    "cancel_subscription": (
        "Your subscription is cancelled and ends with the paid month. All recordings can be downloaded until then.",
        "I have ended the subscription as you asked. No further amount will be charged, and your devices go on working without recordings.",
    ),
    "unexpected_charge": (
        "The amount was charged twice by mistake. I have refunded {amount}, it should be on your statement within five days.",
        "One of the two entries is only a reservation, which your bank releases by itself within three working days. You have paid once.",
    ),
    "payment_declined": (
        "Card payments were disturbed at our provider and work again now. Your basket is kept, so please try once more.",
        "I have unlocked your recordings for a week, so that you can renew in peace. Bank transfer works in any case.",
    ),
    "invoice_copy": (
        "The invoice {invoice} is attached as a PDF. You also find all of them under Account > Orders.",
        "I have reissued the invoice with your company's details. It is attached and in your account.",
    ),
    "plus_activation": (
        "Your payment belonged to a second account with another address. I have moved it here, and Plus is active now.",
        "I have entered the voucher code for you, and you now have twelve months of Plus. Some letters on the card are indeed hard to read.",
    ),
    "plan_change": (
        "I have switched you to yearly billing from the next period on. You pay for ten months instead of twelve.",
        "You can pause for up to six months under Account > Plans, and the recordings are kept in the meantime.",
    ),
    "student_discount": (
        "We match our own prices for 14 days, so I have refunded the difference to your card.",
        "That code was for first orders only, which the mail should have said. I have put another one into your account.",
    ),
    "account_email": (
        "The change is done: your account now uses the new address, and the old one has been removed.",
        "Please send the number on the hub's label from within the app under Help > Verify. After that the change happens by itself.",
    ),
    "late_delivery": (
        "I am sorry. {carrier} is far behind at the moment; your parcel has been found in {town} and is on its way again. I have refunded the shipping costs.",
        "Since the parcel has not moved for days, I have sent a second one with another carrier. If both arrive, simply refuse the later one.",
    ),
    "tracking_stuck": (
        "Parcels often travel for days without a new scan at the moment. Yours was scanned in {town} this morning and should arrive tomorrow.",
        "The number in our mail had a typing error. The right one is {tracking}, and it shows the parcel out for delivery.",
    ),
    "delivered_missing": (
        "The carrier left the parcel with the neighbours without a note; the name is Holm, across the street. Please tell me if it is not there.",
        "I have sent a new parcel today and taken up the matter with the carrier. You have nothing more to do.",
    ),
    "damaged_parcel": (
        "Thank you for the clear pictures. A replacement leaves our warehouse today, and you need not send the broken one back.",
        "I am sorry that it arrived like that. I have refunded {amount} in full, please recycle the device.",
    ),
    "wrong_item": (
        "We packed the wrong box. The right one goes out today, and a label for returning the other is attached.",
        "The order travels in two parcels, and the second one arrives tomorrow with tracking number {tracking}.",
    ),
    "return_request": (
        "The return label is attached, and any {carrier} shop takes the parcel. The refund starts when it is scanned there.",
        "Of course you can, opened boxes are fine as well. Your return code is in your mailbox, no printer needed.",
    ),
    "refund_status": (
        "The return had been booked in the warehouse but the refund was never started. I have just done that: {amount} should arrive within three days.",
        "The refund went to your old card on {date}, and your bank forwards it. If nothing shows up by next week, please write again.",
    ),
    "cancel_order": (
        "I could stop the order before it was packed. {amount} is on its way back to you.",
        "The parcel has already left. Please refuse it at the door, and the refund follows by itself.",
    ),
    "stock_question": (
        "The white camera comes back in {weeks} weeks. With the bell on the product page you get a mail as soon as it can be ordered.",
        "All sensors work with every hub from firmware 3 on, so you can order without worries.",
    ),
    "address_change": (
        "I caught the order before the label was printed and changed the address. You find the new one in the confirmation.",
        "The carrier has been told to bring the parcel to the pick-up point in {town}. Please take your passport or another document along.",
    ),
    "warranty_claim": (
        "Your device is under warranty until next spring. A new one goes out today, with a label for the old one in the box.",
        "A dead hub is a clear case. The replacement is on its way with tracking number {tracking}.",
    ),
    "bulk_order": (
        "The offer is attached, valid for 30 days, with delivery to each of your sites included.",
        "Purchase on account is enabled for your company from now on, with 30 days to pay.",
    ),
    "site_access": (
        "Under Pro > People > Import you can add all of them from one table, and set the branch for each.",
        "I have removed the former employee and closed his sessions. The change is in your audit log.",
    ),
    "api_integration": (
        "Your webhook had been switched off after a hundred failures. It is on again, and the missed events have been sent once more.",
        "Access tokens are made under Pro > Developers. For many sites I recommend the event stream instead of polling.",
    ),
}

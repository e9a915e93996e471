// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/workbench/style.h"

#include "views/plot/plot_style.h"

#include <QApplication>
#include <QLabel>
#include <QPalette>
#include <QStyle>
#include <QStyleFactory>
#include <QToolTip>

namespace rankscope::workbench
{

namespace
{

bool systemIsDark = false;

QPalette paletteFor(bool dark)
{
    QPalette palette;
    const auto set = [&palette](QPalette::ColorRole role, QRgb colour) {
        palette.setColor(role, QColor(colour));
    };
    const auto disabled = [&palette](QPalette::ColorRole role, QRgb colour) {
        palette.setColor(QPalette::Disabled, role, QColor(colour));
    };
    set(QPalette::Window, dark ? 0xff1b1e23 : 0xfff2f4f6);
    set(QPalette::Base, dark ? 0xff262a31 : 0xffffffff);
    set(QPalette::AlternateBase, dark ? 0xff2b3038 : 0xfff7f8fa);
    set(QPalette::Button, dark ? 0xff323841 : 0xfff7f8fa);
    for (const auto role : {QPalette::WindowText, QPalette::Text, QPalette::ButtonText})
        set(role, dark ? 0xffe4e7eb : 0xff1d2229);
    set(QPalette::BrightText, 0xffffffff);
    set(QPalette::PlaceholderText, dark ? 0xff8b929c : 0xff767d87);
    set(QPalette::ToolTipBase, dark ? 0xff32383f : 0xff22272e);
    set(QPalette::ToolTipText, 0xffeef1f4);
    set(QPalette::Highlight, dark ? 0xff4c9be8 : 0xff1a6fc4);
    set(QPalette::HighlightedText, dark ? 0xff10151b : 0xffffffff);
    set(QPalette::Link, dark ? 0xff6fb3f2 : 0xff1a6fc4);
    set(QPalette::LinkVisited, dark ? 0xffb59af0 : 0xff6a4bb5);
    set(QPalette::Light, dark ? 0xff3c424b : 0xffffffff);
    set(QPalette::Midlight, dark ? 0xff333840 : 0xffe9ecef);
    set(QPalette::Mid, dark ? 0xff3b414a : 0xffcdd2d8);
    set(QPalette::Dark, dark ? 0xff14171b : 0xffb0b6be);
    set(QPalette::Shadow, dark ? 0xff000000 : 0xff8a9099);
    for (const auto role : {QPalette::WindowText, QPalette::Text, QPalette::ButtonText})
        disabled(role, dark ? 0xff6d747e : 0xff9aa1aa);
    disabled(QPalette::Highlight, dark ? 0xff3b414a : 0xffcdd2d8);
    return palette;
}

} // namespace

void rememberSystemStyle()
{
    systemIsDark = views::isDark(QApplication::palette());
}

void applyStyle(StyleChoice choice)
{
    const bool dark = choice == StyleChoice::Dark || (choice == StyleChoice::System && systemIsDark);
    if (QApplication::style()->objectName().compare(QLatin1String("fusion"), Qt::CaseInsensitive) != 0)
        QApplication::setStyle(QStyleFactory::create(QStringLiteral("Fusion")));
    const QPalette palette = paletteFor(dark);
    QApplication::setPalette(palette);
    const QString line = dark ? QStringLiteral("#3b414a") : QStringLiteral("#d5dae0");
    const QString muted = dark ? QStringLiteral("#a4abb5") : QStringLiteral("#5a616b");
    const QString accent = dark ? QStringLiteral("#4c9be8") : QStringLiteral("#1a6fc4");
    const QString onAccent = dark ? QStringLiteral("#10151b") : QStringLiteral("#ffffff");
    const QString error = dark ? QStringLiteral("#ff8a7a") : QStringLiteral("#b3261e");
    const QString frame = dark ? QStringLiteral("#4c545f") : QStringLiteral("#b8bfc8");
    // Only what the palette cannot say. Style sheets do not know its tool-tip roles.
    qApp->setStyleSheet(
        QStringLiteral(
            "QToolTip { border: 1px solid %1; padding: 4px 6px; background: %7; color: %8; }"
            "QMainWindow::separator { background: %1; width: 1px; height: 1px; margin: 0px 1px; }"
            "QSplitter::handle { background: transparent; }"
            "QLabel[role=\"section\"] { color: %2; font-weight: 600; font-size: 8pt; letter-spacing: 1px; }"
            "QLabel[role=\"muted\"] { color: %2; }"
            "QLabel[role=\"error\"] { color: %5; }"
            "QToolBar { border: none; border-bottom: 1px solid %1; padding: 4px 8px; spacing: 8px; }"
            "QStatusBar { border-top: 1px solid %1; } QStatusBar::item { border: none; }"
            "QPushButton { padding: 5px 14px; }"
            "QLineEdit { border: 1px solid %6; border-radius: 3px; padding: 2px 4px; background: "
            "palette(base); }"
            "QLineEdit:focus { border-color: %3; } QLineEdit:disabled { color: %2; background: "
            "palette(window); }"
            "QComboBox QLineEdit, QAbstractSpinBox QLineEdit { border: none; padding: 0px; background: "
            "transparent; }"
            "QPushButton[primary=\"true\"] { background: %3; color: %4; border: 1px solid %3; border-radius: "
            "3px; "
            "padding: 6px 16px; font-weight: 600; }"
            "QPushButton[primary=\"true\"]:hover { border-color: %2; }"
            "QPushButton[primary=\"true\"]:focus { border: 2px solid palette(text); padding: 5px 15px; }"
            "QPushButton[primary=\"true\"]:disabled { background: %1; color: %2; border-color: %1; }")
            .arg(line, muted, accent, onAccent, error, frame, palette.color(QPalette::ToolTipBase).name(),
                 palette.color(QPalette::ToolTipText).name()));
    QToolTip::setPalette(palette);
}

QString styleName(StyleChoice choice)
{
    switch (choice) {
    case StyleChoice::Light:
        return QStringLiteral("light");
    case StyleChoice::Dark:
        return QStringLiteral("dark");
    case StyleChoice::System:
        break;
    }
    return QStringLiteral("system");
}

StyleChoice styleFromName(const QString& name)
{
    if (name == QLatin1String("light"))
        return StyleChoice::Light;
    return name == QLatin1String("dark") ? StyleChoice::Dark : StyleChoice::System;
}

QPalette tintedSelection()
{
    QPalette palette = QApplication::palette();
    QColor chosen = palette.color(QPalette::Highlight);
    chosen.setAlphaF(0.16F);
    palette.setColor(QPalette::Highlight, chosen);
    palette.setColor(QPalette::HighlightedText, palette.color(QPalette::Text));
    return palette;
}

QLabel* sectionHeading(const QString& title, QWidget* parent)
{
    auto* heading = new QLabel(title.toUpper(), parent);
    heading->setProperty("role", "section");
    return heading;
}

} // namespace rankscope::workbench
